#include "model/padding.h"

#include <string.h>

enum order {
    PLAIN,  // padded at the end
    HEADS,  // each head is padded at its end
    ROTARY, // each head is padded behind its first half and at its end
};

static void orders_of(enum qm_role role, enum order *rows, enum order *columns)
{
    *rows = *columns = PLAIN;
    switch (role) {
    case QM_ROLE_Q:
    case QM_ROLE_K:
        *rows = ROTARY;
        break;
    case QM_ROLE_V:
        *rows = HEADS;
        break;
    case QM_ROLE_O:
    case QM_ROLE_V_BIAS:
        *columns = HEADS;
        break;
    case QM_ROLE_Q_BIAS:
    case QM_ROLE_K_BIAS:
    case QM_ROLE_Q_NORM:
    case QM_ROLE_K_NORM:
        *columns = ROTARY;
        break;
    default:
        break;
    }
}

static size_t place(const struct qm_model_config *config, enum order order, uint32_t i)
{
    uint32_t own = config->own.head_dim, head = config->head_dim, at = i % own;
    if (order == PLAIN)
        return i;
    if (order == ROTARY && at >= own / 2)
        at += (head - own) / 2;
    return (size_t)(i / own) * head + at;
}

void qm_weight_pad(const struct qm_model_config *config, enum qm_role role, const float *own, float *padded)
{
    enum order row_order, column_order;
    uint32_t rows, columns, padded_rows, padded_columns;
    orders_of(role, &row_order, &column_order);
    qm_role_own_shape(config, role, &rows, &columns);
    qm_role_shape(config, role, &padded_rows, &padded_columns);
    memset(padded, 0, (size_t)padded_rows * padded_columns * sizeof(*padded));
    for (uint32_t row = 0; row < rows; ++row) {
        const float *from = own + (size_t)row * columns;
        float *to = padded + place(config, row_order, row) * padded_columns;
        if (column_order == PLAIN)
            memcpy(to, from, columns * sizeof(*to));
        for (uint32_t column = 0; column < columns && column_order != PLAIN; ++column)
            to[place(config, column_order, column)] = from[column];
    }
}
