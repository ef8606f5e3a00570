#include "portable.h"
#include "log_softmax.h"
QM_ENTRY log_softmax(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "log_softmax.h"
}
