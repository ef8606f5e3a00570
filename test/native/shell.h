// The C shell: loops over workgroups and invocations around a kernel's body. Included by generated files.
#include "test/native/native.h"

#define QM_IN(number, type, name) const type *const name = (const type *)call->buffers[number];
#define QM_IN4(number, name) QM_IN(number, uint, name)
#define QM_OUT(number, type, name) type *const name = (type *)(uintptr_t)call->buffers[number];
#define QM_OUT4(number, name) QM_OUT(number, uint, name)
#define QM_INOUT(number, type, name) QM_OUT(number, type, name)
#define QM_U32(name) const uint name = call->parameters[qm_parameter++];
#define QM_F32(name) const float name = QM_BITS_FLOAT(call->parameters[qm_parameter++]);

#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wpsabi"

void QM_NATIVE_NAME(const struct qm_native_call *call);

void QM_NATIVE_NAME(const struct qm_native_call *call)
{
    uint qm_parameter = 0;
    const uint *const qm_step = call->step;
    (void)qm_step;
    QM_BUFFERS
    QM_PARAMETERS(void) qm_parameter;
    for (uint qm_group_y = 0; qm_group_y < call->groups[1]; ++qm_group_y)
        for (uint qm_group_x = 0; qm_group_x < call->groups[0]; ++qm_group_x)
            for (uint qm_local_y = 0; qm_local_y < QM_WORKGROUP_Y; ++qm_local_y)
                for (uint qm_local_x = 0; qm_local_x < QM_WORKGROUP_X; ++qm_local_x) {
#include QM_NATIVE_BODY
                }
}
