#version 450
#include "portable.h"
#include "swiglu_activations.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "swiglu_activations.h"
}
