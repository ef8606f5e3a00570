#include "portable.h"
#include "advance.h"
QM_ENTRY advance(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "advance.h"
}
