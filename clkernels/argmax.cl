#include "portable.h"
#include "argmax.h"
QM_ENTRY argmax(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "argmax.h"
}
