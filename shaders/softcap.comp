#version 450
#include "portable.h"
#include "softcap.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "softcap.h"
}
