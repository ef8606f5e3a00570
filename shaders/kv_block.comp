#version 450
#include "portable.h"
#include "kv_block.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "kv_block.h"
}
