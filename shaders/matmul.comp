#version 450
#include "portable.h"
#include "matmul.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "matmul.h"
}
