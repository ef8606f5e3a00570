#version 450
#include "portable.h"
#include "attention.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "attention.h"
}
