#include "model/padding.h"

#include <string.h>

static void orders_of(enum qm_role role, enum qm_padding *rows, enum qm_padding *columns)
{
    *rows = *columns = QM_PADDING_PLAIN;
    switch (role) {
    case QM_ROLE_Q:
    case QM_ROLE_K:
        *rows = QM_PADDING_ROTARY;
        break;
    case QM_ROLE_V:
        *rows = QM_PADDING_HEADS;
        break;
    case QM_ROLE_O:
    case QM_ROLE_V_BIAS:
        *columns = QM_PADDING_HEADS;
        break;
    case QM_ROLE_Q_BIAS:
    case QM_ROLE_K_BIAS:
    case QM_ROLE_Q_NORM:
    case QM_ROLE_K_NORM:
        *columns = QM_PADDING_ROTARY;
        break;
    default:
        break;
    }
}

size_t qm_padding_place(const struct qm_model_config *config, enum qm_padding order, uint32_t i)
{
    uint32_t own = config->own.head_dim, head = config->head_dim, at = i % own;
    if (order == QM_PADDING_PLAIN)
        return i;
    if (order == QM_PADDING_ROTARY && at >= own / 2)
        at += (head - own) / 2;
    return (size_t)(i / own) * head + at;
}

void qm_weight_pad(const struct qm_model_config *config, enum qm_role role, const float *own, float *padded)
{
    enum qm_padding row_order, column_order;
    uint32_t rows, columns, padded_rows, padded_columns;
    orders_of(role, &row_order, &column_order);
    qm_role_own_shape(config, role, &rows, &columns);
    qm_role_shape(config, role, &padded_rows, &padded_columns);
    memset(padded, 0, (size_t)padded_rows * padded_columns * sizeof(*padded));
    for (uint32_t row = 0; row < rows; ++row) {
        const float *from = own + (size_t)row * columns;
        float *to = padded + qm_padding_place(config, row_order, row) * padded_columns;
        if (column_order == QM_PADDING_PLAIN)
            memcpy(to, from, columns * sizeof(*to));
        for (uint32_t column = 0; column < columns && column_order != QM_PADDING_PLAIN; ++column)
            to[qm_padding_place(config, column_order, column)] = from[column];
    }
}
