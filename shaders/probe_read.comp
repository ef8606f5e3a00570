#version 450
#include "portable.h"
#include "probe_read.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "probe_read.h"
}
