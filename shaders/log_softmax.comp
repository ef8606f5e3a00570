#version 450
#include "portable.h"
#include "log_softmax.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "log_softmax.h"
}
