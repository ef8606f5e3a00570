#include "portable.h"
#include "embedding.h"
QM_ENTRY embedding(QM_ARGUMENTS)
{
    QM_BEGIN
#define QM_BODY
#include "embedding.h"
}
