#include "portable.h"
#include "probe_read.h"
QM_ENTRY probe_read(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "probe_read.h"
}
