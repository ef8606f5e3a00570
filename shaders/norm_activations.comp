#version 450
#include "portable.h"
#include "norm_activations.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "norm_activations.h"
}
