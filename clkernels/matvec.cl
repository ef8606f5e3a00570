#include "portable.h"
#include "matvec.h"
QM_ENTRY matvec(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "matvec.h"
}
