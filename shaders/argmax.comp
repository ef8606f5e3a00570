#version 450
#include "portable.h"
#include "argmax.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "argmax.h"
}
