#version 450
#include "portable.h"
#include "bias.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "bias.h"
}
