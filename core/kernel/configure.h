// A configuration of a kernel that the build has no row for: what `qmark tune` tries, and what a run with tuned tiles uses.
#ifndef QM_KERNEL_CONFIGURE_H
#define QM_KERNEL_CONFIGURE_H

#include "backends/backend.h"

enum {
    QM_SETTINGS_BYTES = 192
};

// The variant `right` of the table with some of its definitions changed: `settings` is "QM_ROWS=4 QM_COLUMNS=16", each a
// definition that `right` has and a whole number; QM_WORKGROUP_X and QM_WORKGROUP_Y change its workgroup as well. Nothing
// else changes, so that arithmetic, argument list and tier are those of `right`; its name has "+tuned" behind it. It is
// compiled by the device's driver, for Vulkan from GLSL by libshaderc or glslc. The same settings give the same variant, which lives
// until the program ends. Empty settings give `right`. QM_INVALID names the setting that is none.
QM_MUST_USE enum qm_status qm_kernel_configure(const struct qm_kernel_variant *right, const char *settings,
                                               const struct qm_kernel_variant **out);

// ---- What this process takes for tuned ----------------------------------------------------------------------------

// A tile's name with "+tuned" behind it ("vector+tuned") gives, by qm_kernel_find, the variant that the tile alone gives,
// configured by what is set here: "VARIANT SETTING SETTING;VARIANT SETTING", with the table's names. It takes the place of
// what was set before; NULL or "" for nothing. QM_INVALID names what is wrong, and then nothing is set.
QM_MUST_USE enum qm_status qm_kernel_tuned_set(const char *text);
// The variant to use in the place of `right`; `right` itself where nothing is set for it.
const struct qm_kernel_variant *qm_kernel_tuned(const struct qm_kernel_variant *right);
// What of its definitions is changed: "QM_ROWS=4"; "" for a variant of the table.
const char *qm_kernel_settings(const struct qm_kernel_variant *variant);

#endif
