#include "portable.h"
#include "softcap.h"
QM_ENTRY softcap(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "softcap.h"
}
