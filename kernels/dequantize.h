// dequantize: y[n][k] = w_scale[n][k's block] * code[n][k], row-major float32, from the panels that product.h describes.
//
// One rounding for integer formats, none for f16 and f32. One invocation per unit of 8 k of one column.
#ifndef QM_BODY
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, uint, weights)                                                                                            \
    QM_OUT(1, float, result)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(k)                                                                                                          \
    QM_U32(n)                                                                                                          \
    QM_U32(scale_offset)
#define QM_LOCALS
#else
    uint unit = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    uint column = QM_GROUP_Y;
    uint units = k / 8u;
    if (unit < units && column < n) {
        uint panel = column / 16u, lane = column % 16u;
        uint to = column * k + unit * 8u;
#if defined(QM_WEIGHT_F32)
        uint from = (panel * k + unit * 8u) * 16u + lane;
        for (uint j = 0u; j < 8u; ++j)
            result[to + j] = QM_BITS_FLOAT(weights[from + j * 16u]);
#elif defined(QM_WEIGHT_F16)
        uint from = (panel * (k / 2u) + unit * 4u) * 16u + lane;
        for (uint j = 0u; j < 4u; ++j) {
            uint both = weights[from + j * 16u];
            result[to + 2u * j] = qm_half_value(both & 0xffffu);
            result[to + 2u * j + 1u] = qm_half_value(both >> 16);
        }
#elif defined(QM_WEIGHT_W8)
        uint from = (panel * (k / 4u) + unit * 2u) * 16u + lane;
        float scale = QM_BITS_FLOAT(weights[scale_offset + column]);
        for (uint j = 0u; j < 8u; ++j) {
            int code = QM_INT(weights[from + (j / 4u) * 16u] << (24u - 8u * (j % 4u))) >> 24;
            result[to + j] = QM_FLOAT(code) * scale;
        }
#else
        uint word = weights[(panel * units + unit) * 16u + lane];
        uint group = unit / 4u;
        uint scale_words = (k / 32u + 1u) / 2u;
        uint pair = weights[scale_offset + (panel * scale_words + group / 2u) * 16u + lane];
        float scale = qm_half_value((pair >> (16u * (group & 1u))) & 0xffffu);
        for (uint j = 0u; j < 8u; ++j)
            result[to + j] = QM_FLOAT(QM_INT(word << (28u - 4u * j)) >> 28) * scale;
#endif
    }
#endif
