#version 450
#include "portable.h"
#include "dequantize.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "dequantize.h"
}
