#include "quant/awq_scales.h"
#include "quant/awq.h"
#include "quant/format_grid.h"

enum qm_status qm_awq_choose(const void *scheme, const struct qm_channel_statistics *statistics,
                             const struct qm_model_tensor *const *readers, size_t reader_count, float *scales,
                             double *alpha)
{
    struct qm_format_grid grids[3];
    struct qm_awq_matrix matrices[3];
    struct qm_awq_record record;
    size_t count = 0;
    for (size_t r = 0; r < reader_count; r++) {
        const struct qm_model_tensor *reader = readers[r];
        enum qm_weight_format format;
        enum qm_activation_format activations;
        qm_scheme_formats_of(scheme, reader->name, &format, &activations);
        const struct qm_weight_codec *codec = qm_weight_codec(format);
        if (codec->scale == QM_SCALE_NONE || codec->scale == QM_SCALE_BLOCK)
            continue; // nothing is lost there, or not through a grid
        qm_format_grid_begin(&grids[count], format,
                             qm_format_tensor_scale(format, reader->values, (size_t)reader->rows * reader->columns));
        matrices[count] = (struct qm_awq_matrix){reader->name, reader->values, reader->rows, &grids[count].base};
        count++;
    }
    *alpha = 0;
    for (uint32_t j = 0; j < statistics->width; j++)
        scales[j] = 1;
    if (count == 0)
        return QM_OK;
    QM_TRY(qm_awq_search(matrices, count, statistics->width, statistics->sum_magnitudes, statistics->products, scales,
                         &record));
    *alpha = record.ratio;
    return QM_OK;
}
