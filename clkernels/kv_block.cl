#include "portable.h"
#include "kv_block.h"
QM_ENTRY kv_block(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "kv_block.h"
}
