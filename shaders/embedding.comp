#version 450
#include "portable.h"
#include "embedding.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "embedding.h"
}
