#version 450
#include "portable.h"
#include "advance.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "advance.h"
}
