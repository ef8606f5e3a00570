#include "portable.h"
#include "probe_local.h"
QM_ENTRY probe_local(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "probe_local.h"
}
