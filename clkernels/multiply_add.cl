#include "portable.h"
#include "multiply_add.h"
QM_ENTRY multiply_add(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "multiply_add.h"
}
