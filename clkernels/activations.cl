#include "portable.h"
#include "activations.h"
QM_ENTRY activations(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "activations.h"
}
