#include "model/padding.h"

#include <inttypes.h>
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

// ---- Codes ----------------------------------------------------------------------------------------------------------

// Values that move together: a group with its scale, else as many as fill whole bytes.
static uint32_t unit_of(enum qm_weight_format format)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    return codec->group ? codec->group : codec->code_bits < 8 ? 8 : 1;
}

enum qm_status qm_weight_pad_check(const struct qm_model_config *config, const struct qm_model_tensor *weight,
                                   enum qm_weight_format format, const char *file)
{
    enum qm_padding row_order, column_order;
    uint32_t rows, columns, unit = unit_of(format);
    orders_of(weight->role, &row_order, &column_order);
    qm_role_own_shape(config, weight->role, &rows, &columns);
    bool fits = columns % unit == 0 && weight->columns % unit == 0;
    for (uint32_t c = 0; fits && c < columns; c += unit) {
        size_t place = qm_padding_place(config, column_order, c);
        fits = place % unit == 0 && qm_padding_place(config, column_order, c + unit - 1) == place + unit - 1;
    }
    char padding[QM_PADDING_TEXT_BYTES];
    qm_model_config_padding_text(config, padding);
    return fits ? QM_OK
                : QM_FAIL(QM_UNSUPPORTED,
                          "%s: tensor '%s': devices take %s, which would cut groups of %" PRIu32
                          " values of %s; use schemes that quantize the values anew, such as w8a16",
                          file, weight->name, padding, unit, qm_weight_format_info(format)->title);
}

void qm_weight_pad_codes(const struct qm_model_config *config, enum qm_role role, enum qm_weight_format format,
                         const struct qm_encoded *own, const struct qm_encoded *padded)
{
    enum qm_padding row_order, column_order;
    uint32_t rows, columns, padded_rows, padded_columns, unit = unit_of(format);
    orders_of(role, &row_order, &column_order);
    qm_role_own_shape(config, role, &rows, &columns);
    qm_role_shape(config, role, &padded_rows, &padded_columns);
    const size_t code_row = qm_format_code_bytes(format, 1, columns),
                 scale_row = qm_format_scale_bytes(format, 1, columns);
    const size_t to_code_row = qm_format_code_bytes(format, 1, padded_columns),
                 to_scale_row = qm_format_scale_bytes(format, 1, padded_columns);
    const size_t code_unit = qm_format_code_bytes(format, 1, unit);
    const size_t scale_unit = qm_weight_codec(format)->group ? qm_format_scale_bytes(format, 1, unit) : 0;
    memset(padded->codes, 0, padded_rows * to_code_row);
    if (to_scale_row > 0)
        memset(padded->scales, 0, padded_rows * to_scale_row);
    for (uint32_t row = 0; row < rows; ++row) {
        size_t to_row = qm_padding_place(config, row_order, row);
        const char *codes = (const char *)own->codes + row * code_row;
        const char *scales = (const char *)own->scales + row * scale_row;
        char *to_codes = (char *)padded->codes + to_row * to_code_row;
        char *to_scales = (char *)padded->scales + to_row * to_scale_row;
        if (scale_unit == 0 && scale_row > 0) // one of the whole row
            memcpy(to_scales, scales, scale_row);
        for (uint32_t c = 0; c < columns; c += unit) {
            size_t place = qm_padding_place(config, column_order, c) / unit, at = c / unit;
            memcpy(to_codes + place * code_unit, codes + at * code_unit, code_unit);
            if (scale_unit > 0)
                memcpy(to_scales + place * scale_unit, scales + at * scale_unit, scale_unit);
        }
    }
}
