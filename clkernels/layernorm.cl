#include "portable.h"
#include "layernorm.h"
QM_ENTRY layernorm(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "layernorm.h"
}
