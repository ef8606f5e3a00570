#include "portable.h"
#include "rope.h"
QM_ENTRY rope(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "rope.h"
}
