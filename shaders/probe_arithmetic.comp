#version 450
#include "portable.h"
#include "probe_arithmetic.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "probe_arithmetic.h"
}
