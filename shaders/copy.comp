#version 450
#include "portable.h"
#include "copy.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "copy.h"
}
