#version 450
#include "portable.h"
#include "selftest.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "selftest.h"
}
