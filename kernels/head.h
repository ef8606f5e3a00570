// Values of a head as it lies on a device: 64, 128 or 256 (QM_HEAD). Heads of fewer values are padded with zeros.
#ifndef QM_HEAD
#define QM_HEAD 64
#endif
#ifndef QM_HEAD_H
#define QM_HEAD_H
#define QM_HEAD_VALUES QM_UINT(QM_HEAD)
#define QM_HEAD_HALF QM_UINT(QM_HEAD / 2)
// Loops over a head's values. 256 fit no registers, and compilers take minutes to lay them out one by one.
#if QM_HEAD > 128
#define QM_UNROLL_HEAD
#else
#define QM_UNROLL_HEAD QM_UNROLL
#endif
#endif
