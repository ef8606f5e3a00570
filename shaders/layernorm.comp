#version 450
#include "portable.h"
#include "layernorm.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "layernorm.h"
}
