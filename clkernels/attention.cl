#include "portable.h"
#include "attention.h"
QM_ENTRY attention(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "attention.h"
}
