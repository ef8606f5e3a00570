// How product_staged.h unpacks activations: 32 k of a row into private memory.
//
//   QM_STAGE_STEP(to, at, from)   stores the 32 values whose first word is `from` at to[at] and what follows
//   QM_STAGED_SUM(staged, at)     the sum of the 32 values at staged[at] and what follows, by lanes: one chain of 32
//                                 additions took as long as a third of a product of 6 rows
//   QM_STAGED_EIGHT(eight) + QM_STAGED_AT(j)   where value 8 eight + j of them is
//
// Where words are unpacked by vectors, the lowest values of all lie first, then the next. QM_VW is 16. Callers count with i,
// so no loop here may.
#if defined(QM_ACTIVATION_F32)
#define QM_STAGED_EIGHT(eight) (8u * (eight))
#define QM_STAGED_AT(j) (j)
#define QM_STAGE_STEP(to, at, from)                                                                                    \
    QM_UNROLL for (int first = 0; first < 32; first += QM_VW)                                                          \
        QM_PRIVATE_STORE(to, (at) + QM_UINT(first), QM_FV_BITS(QM_LOAD_UV(activations, (from) + QM_UINT(first))))

#elif defined(QM_ACTIVATION_F16)
#define QM_STAGED_EIGHT(eight) (8u * (eight))
#define QM_STAGED_AT(j) (j)
#define QM_STAGE_STEP(to, at, from)                                                                                    \
    QM_PRIVATE_STORE(to, at, QM_LOAD_HALF16(activations, from))                                                        \
    QM_PRIVATE_STORE(to, (at) + 16u, QM_LOAD_HALF16(activations, (from) + 8u))

#elif defined(QM_ACTIVATION_BF16)
#define QM_STAGED_EIGHT(eight) (4u * (eight))
#define QM_STAGED_AT(j) ((j) / 2 + 16 * ((j) % 2))
#define QM_STAGE_STEP(to, at, from)                                                                                    \
    qm_uv words = QM_LOAD_UV(activations, from);                                                                       \
    QM_PRIVATE_STORE(to, at, QM_FV_BITS(words << 16))                                                                  \
    QM_PRIVATE_STORE(to, (at) + 16u, QM_FV_BITS(words & 0xffff0000u))

#elif defined(QM_ACTIVATION_A4)
#define QM_STAGED_EIGHT(eight) (eight)
#define QM_STAGED_AT(j) (4 * (j))
#define QM_STAGE_STEP(to, at, from)                                                                                    \
    qm_i4 words = QM_I4_FROM_U4(QM_LOAD4(activations, from));                                                          \
    QM_UNROLL for (int j = 0; j < 8; ++j)                                                                              \
        QM_PRIVATE_STORE4(to, (at) + QM_UINT(4 * j), (words << (28 - 4 * j)) >> 28)

#else // bytes
#define QM_STAGED_EIGHT(eight) (16u * ((eight) / 2u) + 2u * ((eight) % 2u))
#define QM_STAGED_AT(j) (4 * ((j) % 4) + (j) / 4)
#if defined(QM_ACTIVATION_F8)
#define QM_STAGED_BYTE(words, byte) QM_E4M3_OF(qm_small_4, (words) << (24 - 8 * (byte)))
#define QM_STAGED_WORDS(words) words
#define qm_staged_words qm_u4
#else
#define QM_STAGED_BYTE(words, byte) (((words) << (24 - 8 * (byte))) >> 24)
#define QM_STAGED_WORDS(words) QM_I4_FROM_U4(words)
#define qm_staged_words qm_i4
#endif
#define QM_STAGE_STEP(to, at, from)                                                                                    \
    QM_UNROLL for (int four = 0; four < 2; ++four) {                                                                   \
        qm_staged_words words = QM_STAGED_WORDS(QM_LOAD4(activations, (from) + QM_UINT(4 * four)));                    \
        QM_UNROLL for (int byte = 0; byte < 4; ++byte)                                                                 \
            QM_PRIVATE_STORE4(to, (at) + QM_UINT(16 * four + 4 * byte), QM_STAGED_BYTE(words, byte))                   \
    }
#endif

#if defined(QM_INTEGER_PRODUCT)
#define QM_STAGED_LANES_SUM(x) QM_INT(QM_LANES_SUM_U(QM_UV_FROM_IV(x)))
#else
#define QM_STAGED_LANES_SUM(x) QM_LANES_SUM(x)
#endif
#define QM_STAGED_SUM(staged, at)                                                                                      \
    QM_STAGED_LANES_SUM(QM_PRIVATE_LOAD(staged, at) + QM_PRIVATE_LOAD(staged, (at) + 16u))

// What makes up for codes that stay at their places (weights.h), of 16 values in their order.
#if defined(QM_PLACED_CODES)
#define QM_PLACE_FACTORS                                                                                               \
    1.0f, QM_POWER(QM_AT1), QM_POWER(QM_AT2), QM_POWER(QM_AT3), QM_POWER(QM_AT4), QM_POWER(QM_AT5), QM_POWER(QM_AT6),  \
        QM_POWER(QM_AT7)
#define QM_PLACE_STAGED(staged, at)                                                                                    \
    QM_PRIVATE_STORE(staged, at, QM_PRIVATE_LOAD(staged, at) * ((qm_fv)(QM_PLACE_FACTORS, QM_PLACE_FACTORS)))
#endif
