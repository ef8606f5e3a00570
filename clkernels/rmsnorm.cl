#include "portable.h"
#include "rmsnorm.h"
QM_ENTRY rmsnorm(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "rmsnorm.h"
}
