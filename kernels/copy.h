// copy: y = x, in words. Each invocation copies QM_COPY_WORDS consecutive words.
#ifndef QM_BODY
#ifndef QM_COPY_WORDS
#define QM_COPY_WORDS 16
#endif
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, uint, source)                                                                                             \
    QM_OUT(1, uint, result)
#define QM_PARAMETERS QM_U32(count)
#define QM_LOCALS
#else
    uint from = ((QM_GROUP_Y * 32768u + QM_GROUP_X) * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X) * QM_UINT(QM_COPY_WORDS);
    QM_UNROLL for (uint i = 0u; i < QM_UINT(QM_COPY_WORDS); ++i) {
        if (from + i < count)
            result[from + i] = source[from + i];
    }
#endif
