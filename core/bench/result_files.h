// What a quantized model's files say of their own quantization, as part of a result: model.disclosure.
#ifndef QM_BENCH_RESULT_FILES_H
#define QM_BENCH_RESULT_FILES_H

struct qm_node;

// Adds it to the mapping `model`: what `qmark audit` reads from the files (model/disclosure.h), without their classes of tensors,
// and by name what of its questions stays open. Nothing where the files hold floats, or are not there any more.
void qm_result_add_files(struct qm_node *model, const char *path);

#endif
