#version 450
#include "portable.h"
#include "rmsnorm.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "rmsnorm.h"
}
