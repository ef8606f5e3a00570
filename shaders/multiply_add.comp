#version 450
#include "portable.h"
#include "multiply_add.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "multiply_add.h"
}
