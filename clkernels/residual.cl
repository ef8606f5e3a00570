#include "portable.h"
#include "residual.h"
QM_ENTRY residual(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "residual.h"
}
