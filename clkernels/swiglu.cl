#include "portable.h"
#include "swiglu.h"
QM_ENTRY swiglu(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "swiglu.h"
}
