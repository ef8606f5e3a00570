#version 450
#include "portable.h"
#include "rope.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "rope.h"
}
