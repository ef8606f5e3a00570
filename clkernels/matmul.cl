#include "portable.h"
#include "matmul.h"
QM_ENTRY matmul(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "matmul.h"
}
