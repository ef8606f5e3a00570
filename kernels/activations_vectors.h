// The body of `activations` for processors: QM_VW words of codes at a time, which vectors of values are sorted for. The same
// bits as the other. QM_VALUES(c) are the QM_VW values of the row from c on; the rest is as in activations.h.
#ifndef QM_VALUES
#define QM_ROW_BEGIN uint base = row * width;
#define QM_VALUES(c) QM_FV_BITS(QM_LOAD_UV(x, base + (c)))
#define QM_STATIC_SCALE(group) static_scales[group]
#endif
#define QM_MAGNITUDES(c) (QM_UV_BITS(QM_VALUES(c)) & 0x7fffffffu)
    uint row = QM_ROW;
    if (row < rows) {
        QM_ROW_BEGIN
#if defined(QM_ACTIVATION_F16) || defined(QM_ACTIVATION_BF16)
#if defined(QM_ACTIVATION_F16) && defined(QM_STORE_HALVES)
        for (uint c = 0u; c < width; c += QM_UINT(QM_VW)) {
            QM_STORE_HALVES(codes, (row * width + c) / 2u, QM_VALUES(c));
        }
#else
        for (uint i = 0u; i < width / 2u; i += QM_UINT(QM_VW)) {
            qm_fv a = QM_VALUES(2u * i), b = QM_VALUES(2u * i + QM_UINT(QM_VW));
#if defined(QM_ACTIVATION_F16)
            QM_STORE_UV(codes, row * (width / 2u) + i, qm_half_bits_v(QM_EVENS(a, b)) | (qm_half_bits_v(QM_ODDS(a, b)) << 16));
#else
            QM_STORE_UV(codes, row * (width / 2u) + i, qm_bf16_bits_v(QM_EVENS(a, b)) | (qm_bf16_bits_v(QM_ODDS(a, b)) << 16));
#endif
        }
#endif
        scales[row] = 1.0f;
#else
#if defined(QM_ACTIVATION_GROUPS)
        uint groups = width >> (5u + shift), group_width = 32u << shift;
#else
        uint groups = 1u, group_width = width;
#endif
        for (uint group = 0u; group < groups; ++group) {
            uint first = group * group_width, end = first + group_width;
            float scale;
            if (is_static == 0u) {
                // Magnitudes are in the order of their bits.
                qm_uv largest = QM_UV(0u), other = QM_UV(0u);
#if defined(QM_STORE_BYTES)
                for (uint c = first; c < end; c += QM_UINT(2 * QM_VW)) {
                    largest = QM_MAX(largest, QM_MAGNITUDES(c));
                    other = QM_MAX(other, QM_MAGNITUDES(c + QM_UINT(QM_VW)));
                }
                uint amax = QM_LANES_MAX_U(QM_MAX(largest, other));
#else
                for (uint c = first; c < end; c += QM_UINT(4 * QM_VW)) {
                    largest = QM_MAX(largest, QM_MAGNITUDES(c));
                    other = QM_MAX(other, QM_MAGNITUDES(c + QM_UINT(QM_VW)));
                    largest = QM_MAX(largest, QM_MAGNITUDES(c + QM_UINT(2 * QM_VW)));
                    other = QM_MAX(other, QM_MAGNITUDES(c + QM_UINT(3 * QM_VW)));
                }
                largest = QM_MAX(largest, other);
                uint amax = 0u;
                QM_UNROLL for (int lane = 0; lane < QM_VW; ++lane)
                    amax = QM_MAX(amax, QM_LANE(largest, lane));
#endif
                scale = qm_scale_of(QM_BITS_FLOAT(amax), QM_INVERSE_LARGEST);
            } else {
                scale = QM_STATIC_SCALE(group); // nothing need be there otherwise
            }
            scales[row * groups + group] = scale;
            float inverse = qm_inverse_scale(scale);
#if defined(QM_STORE_BYTES)
            for (uint c = first; c < end; c += QM_UINT(QM_VW)) {
                QM_STORE_BYTES(codes, (row * width + c) / 4u, qm_byte_codes(QM_VALUES(c), inverse));
            }
#else
            for (uint c = first; c < end; c += QM_UINT(4 * QM_VW)) {
                qm_fv v0 = QM_VALUES(c), v1 = QM_VALUES(c + QM_UINT(QM_VW)), v2 = QM_VALUES(c + QM_UINT(2 * QM_VW)),
                      v3 = QM_VALUES(c + QM_UINT(3 * QM_VW));
                qm_fv even0 = QM_EVENS(v0, v1), even1 = QM_EVENS(v2, v3), odd0 = QM_ODDS(v0, v1), odd1 = QM_ODDS(v2, v3);
                QM_STORE_UV(codes, (row * width + c) / 4u,
                            qm_byte_codes(QM_EVENS(even0, even1), inverse) |
                                (qm_byte_codes(QM_EVENS(odd0, odd1), inverse) << 8) |
                                (qm_byte_codes(QM_ODDS(even0, even1), inverse) << 16) |
                                (qm_byte_codes(QM_ODDS(odd0, odd1), inverse) << 24));
            }
#endif
        }
#endif
    }
