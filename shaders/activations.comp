#version 450
#include "portable.h"
#include "activations.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "activations.h"
}
