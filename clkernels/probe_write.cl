#include "portable.h"
#include "probe_write.h"
QM_ENTRY probe_write(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "probe_write.h"
}
