#include "portable.h"
#include "bias.h"
QM_ENTRY bias(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "bias.h"
}
