#include "portable.h"
#include "copy.h"
QM_ENTRY copy(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "copy.h"
}
