#include "portable.h"
#include "probe_copy.h"
QM_ENTRY probe_copy(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "probe_copy.h"
}
