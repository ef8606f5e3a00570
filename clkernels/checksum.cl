#include "portable.h"
#include "checksum.h"
QM_ENTRY checksum(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "checksum.h"
}
