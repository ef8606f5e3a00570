#version 450
#include "portable.h"
#include "checksum.h"
QM_DECLARE
void main()
{
    QM_BEGIN
#define QM_BODY
#include "checksum.h"
}
