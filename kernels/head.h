// Values of a head as it lies on a device: 64 or 128 (QM_HEAD). Heads of fewer values are padded with zeros.
#ifndef QM_HEAD
#define QM_HEAD 64
#endif
#ifndef QM_HEAD_H
#define QM_HEAD_H
#define QM_HEAD_VALUES QM_UINT(QM_HEAD)
#define QM_HEAD_HALF QM_UINT(QM_HEAD / 2)
#endif
