#include "cli/kernel_options.h"

enum qm_status qm_kernel_option_list(struct qm_kernel_plan *plan, const char *option, const char *key, const char *list)
{
    if (!list || qm_kernel_plan_set(plan, key, list) == QM_OK)
        return QM_OK;
    qm_error_prefix("--%s: ", option);
    return QM_INVALID;
}

enum qm_status qm_kernel_options_read(const struct qm_kernel_options *options, struct qm_kernel_plan *plan)
{
    if (options->formats && options->schemes)
        return QM_FAIL(QM_INVALID, "--format and --scheme name the same; give one of them");
    if (options->shapes && !options->models)
        plan->models.count = 0;
    QM_TRY(qm_kernel_option_list(plan, "model", "models", options->models));
    QM_TRY(qm_kernel_option_list(plan, "shape", "shapes", options->shapes));
    QM_TRY(qm_kernel_option_list(plan, "rows", "rows", options->rows));
    QM_TRY(qm_kernel_option_list(plan, "kernel", "kernels", options->kernels));
    QM_TRY(qm_kernel_option_list(plan, "format", "formats", options->formats));
    QM_TRY(qm_kernel_option_list(plan, "scheme", "formats", options->schemes));
    QM_TRY(qm_kernel_option_list(plan, "kv", "kv", options->kv));
    return qm_kernel_option_list(plan, "tier", "tiers", options->tiers);
}
