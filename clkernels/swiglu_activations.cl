#include "portable.h"
#include "swiglu_activations.h"
QM_ENTRY swiglu_activations(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "swiglu_activations.h"
}
