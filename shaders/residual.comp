#version 450
#include "portable.h"
#include "residual.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "residual.h"
}
