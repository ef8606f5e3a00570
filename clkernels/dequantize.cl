#include "portable.h"
#include "dequantize.h"
QM_ENTRY dequantize(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "dequantize.h"
}
