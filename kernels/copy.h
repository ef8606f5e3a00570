// copy: y = x, in words. Each invocation copies QM_COPY_WORDS consecutive words, four vectors read before they are written;
// count is a multiple of four.
#ifndef QM_BODY
#ifndef QM_COPY_WORDS
#define QM_COPY_WORDS 16
#endif
#define QM_BUFFERS                                                                                                     \
    QM_IN4(0, source)                                                                                                  \
    QM_OUT4(1, result)
#define QM_PARAMETERS QM_U32(count)
#define QM_LOCALS
#else
    uint from = ((QM_GROUP_Y * 32768u + QM_GROUP_X) * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X) * QM_UINT(QM_COPY_WORDS);
    uint end = from < count ? QM_MIN(count - from, QM_UINT(QM_COPY_WORDS)) : 0u, done = 0u;
#if QM_COPY_WORDS >= 4 * QM_VW
    for (; done + QM_UINT(4 * QM_VW) <= end; done += QM_UINT(4 * QM_VW)) {
        qm_uv words[4];
        QM_UNROLL for (int i = 0; i < 4; ++i)
            words[i] = QM_LOAD_UV(source, from + done + QM_UINT(i * QM_VW));
        QM_UNROLL for (int i = 0; i < 4; ++i)
            QM_STORE_UV(result, from + done + QM_UINT(i * QM_VW), words[i]);
    }
#endif
    for (; done < end; done += 4u)
        QM_STORE4(result, from + done, QM_LOAD4(source, from + done));
#endif
