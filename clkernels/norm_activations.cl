#include "portable.h"
#include "norm_activations.h"
QM_ENTRY norm_activations(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "norm_activations.h"
}
