#include "portable.h"
#include "selftest.h"
QM_ENTRY selftest(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "selftest.h"
}
