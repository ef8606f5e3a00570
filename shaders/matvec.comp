#version 450
#include "portable.h"
#include "matvec.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "matvec.h"
}
