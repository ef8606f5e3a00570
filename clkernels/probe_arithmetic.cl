#include "portable.h"
#include "probe_arithmetic.h"
QM_ENTRY probe_arithmetic(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "probe_arithmetic.h"
}
