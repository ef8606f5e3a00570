// probe_arithmetic: QM_CHAINS chains of x = x * a + b of QM_WIDTH lanes each: the ceiling of arithmetic. A trip has
// QM_STEPS of them, for drivers on llvmpipe blend every value that a loop carries once a trip; products do as many.
//
// One of QM_PROBE_F32, QM_PROBE_I32 (modulo 2^32), QM_FP16 (binary16) and QM_PACKED_DOT, where a step is x = dot(x, q) + x
// over the four signed bytes of x and q. a, b and q are words 0, 1 and 2 of `inputs`: in a buffer, so that no compiler can
// know them; and every invocation and lane begins elsewhere, so that no compiler can do once what all of them share.
//
// With s = (invocation & 63) + 16 chain + lane, x begins as s / 16 in float32, s in binary16, s 2654435761 + 1 in integers.
// The inputs that the host gives (a = 1, b = 1/16 in float32, a = -1, b = 3 in binary16) keep every value exact, fused or
// not. Where x alone does not tell how many trips there were, which is in binary16, `trail` does. result[invocation]: over
// the bits of all x (binary16 as float32), h = (h xor bits) 2654435761, beginning with the trail. trips < 65,535. 2 trips
// QM_STEPS QM_CHAINS QM_WIDTH operations an invocation; four times as many for QM_PACKED_DOT.
#ifndef QM_BODY
#if defined(QM_FP16) && defined(QM_GLSL)
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#elif defined(QM_FP16) && defined(__OPENCL_C_VERSION__)
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#endif
#if defined(QM_PACKED_DOT) && defined(QM_GLSL)
#extension GL_EXT_spirv_intrinsics : require
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6019, 6018], id = 4450)
int qm_packed_dot_raw(uint a, uint b, spirv_literal int packed_format);
#define QM_PROBE_DOT(a, b) qm_packed_dot_raw(a, b, 0)
#elif defined(QM_PACKED_DOT)
#define QM_PROBE_DOT(a, b) dot_4x8packed_ss_int(a, b)
#endif
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, uint, inputs)                                                                                             \
    QM_OUT(1, uint, result)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(count)                                                                                                      \
    QM_U32(trips)
#define QM_LOCALS

#if !defined(QM_HOST)
#define QM_STEPS 8
#if defined(QM_FP16)
#define QM_PROBE_INPUT(word) QM_BITS_FLOAT(word)
#define QM_PROBE_BITS(x) QM_FLOAT_BITS(QM_FLOAT(x))
#if defined(QM_GLSL)
#define QM_PROBE_START(s) float16_t(QM_FLOAT(s))
#else
#define QM_PROBE_START(s) ((half)QM_FLOAT(s))
#endif
#if defined(QM_GLSL) && QM_WIDTH == 1
#define QM_PROBE_T float16_t
#elif defined(QM_GLSL)
#define QM_PROBE_T f16vec4
#elif QM_WIDTH == 1
#define QM_PROBE_T half
#else
#define QM_PROBE_T QM_JOIN(half, QM_WIDTH)
#endif
#if defined(QM_GLSL)
#define QM_PROBE_ALL(x) QM_PROBE_T(x)
#else
#define QM_PROBE_ALL(x) ((QM_PROBE_T)((half)(x)))
#endif
#elif defined(QM_PROBE_F32)
#define QM_PROBE_INPUT(word) QM_BITS_FLOAT(word)
#define QM_PROBE_BITS(x) QM_FLOAT_BITS(x)
#define QM_PROBE_START(s) (QM_FLOAT(s) * 0.0625f)
#if QM_WIDTH == 1
#define QM_PROBE_T float
#define QM_PROBE_ALL(x) (x)
#else
#define QM_PROBE_T qm_fv
#define QM_PROBE_ALL(x) QM_FV(x)
#endif
#else
#define QM_PROBE_INPUT(word) (word)
#define QM_PROBE_BITS(x) (x)
#define QM_PROBE_START(s) ((s) * 2654435761u + 1u)
#if QM_WIDTH == 1
#define QM_PROBE_T uint
#define QM_PROBE_ALL(x) (x)
#else
#define QM_PROBE_T qm_uv
#define QM_PROBE_ALL(x) QM_UV(x)
#endif
#endif
#if QM_WIDTH == 1
#define QM_PROBE_LANE(x, lane) x
#else
#define QM_PROBE_LANE(x, lane) QM_LANE(x, lane)
#endif
#endif
#else
    uint i = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    if (i < count) {
        QM_PROBE_T x[QM_CHAINS];
        QM_UNROLL for (int chain = 0; chain < QM_CHAINS; ++chain) {
            QM_PROBE_T start = QM_PROBE_ALL(QM_PROBE_INPUT(0u));
            QM_UNROLL for (int lane = 0; lane < QM_WIDTH; ++lane)
                QM_PROBE_LANE(start, lane) = QM_PROBE_START((i & 63u) + QM_UINT(chain * 16 + lane));
            x[chain] = start;
        }
        uint trail = 1u;
#if defined(QM_PACKED_DOT)
        uint q = inputs[2];
#else
        QM_PROBE_T a = QM_PROBE_ALL(QM_PROBE_INPUT(inputs[0])), b = QM_PROBE_ALL(QM_PROBE_INPUT(inputs[1]));
#endif
        for (uint trip = 0u; trip < trips; ++trip) {
            QM_UNROLL for (int step = 0; step < QM_STEPS; ++step) {
                QM_UNROLL for (int chain = 0; chain < QM_CHAINS; ++chain) {
#if defined(QM_PACKED_DOT)
                    x[chain] = QM_UINT(QM_PROBE_DOT(x[chain], q)) + x[chain];
#else
                    x[chain] = x[chain] * a + b;
#endif
                }
            }
#if defined(QM_FP16)
            trail = trail * 1664525u + 1013904223u;
#endif
        }
        QM_UNROLL for (int chain = 0; chain < QM_CHAINS; ++chain) {
            QM_UNROLL for (int lane = 0; lane < QM_WIDTH; ++lane)
                trail = (trail ^ QM_PROBE_BITS(QM_PROBE_LANE(x[chain], lane))) * 2654435761u;
        }
        result[i] = trail;
    }
#endif
