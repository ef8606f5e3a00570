#include "portable.h"
#include "kv_write.h"
QM_ENTRY kv_write(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "kv_write.h"
}
