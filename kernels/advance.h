// advance: moves the step parameters on at the end of a pass, on the device, so that a recorded program can be repeated.
#ifndef QM_BODY
#define QM_BUFFERS QM_INOUT(0, uint, steps)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(position_increment)                                                                                         \
    QM_U32(sequence_increment)                                                                                         \
    QM_U32(slot_increment)
#define QM_LOCALS
#else
    if (QM_GROUP_X == 0u && QM_LOCAL_X == 0u) {
        steps[0] = steps[0] + position_increment;
        steps[1] = steps[1] + sequence_increment;
        steps[2] = steps[2] + slot_increment;
    }
#endif
