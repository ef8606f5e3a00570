// The table of kernel variants that the build made, and what the core needs to know of them: which tile suits a device,
// how many workgroups a shape takes, and the hash that a result discloses.
#ifndef QM_BENCH_KERNELS_H
#define QM_BENCH_KERNELS_H

#include "backends/backend.h"
#include "base/hash.h"

extern const struct qm_kernel_variant qm_kernel_variants[];
extern const size_t qm_kernel_variant_count;

// The fixed tile for a device; see kernels/tiles.txt. "texel" only where the device reads as many bytes as texels as a
// kernel binds at once, `texel_bytes`; QM_KERNEL_BASE_TIER keeps to the base tier: "narrow", "vector" or "wide".
#define QM_KERNEL_BASE_TIER UINT64_MAX
const char *qm_kernel_tile(const struct qm_device_info *info, uint64_t texel_bytes);

// "texel" where the variant of a tile reads texel buffers, "base" elsewhere.
const char *qm_kernel_tier(const struct qm_kernel_variant *variant);

// The variant `name` ("matmul-w8-a8") for a tile; kernels without that tile give their narrow one. NULL: no such name.
const struct qm_kernel_variant *qm_kernel_find(const char *name, const char *tile);

// The number behind `name=` in the variant's definitions ("QM_ROWS"); `otherwise` where it is not defined.
uint32_t qm_kernel_definition(const struct qm_kernel_variant *variant, const char *name, uint32_t otherwise);

// Workgroups that a dispatch of the variant takes for its parameters (in the kernel's order, as in struct
// qm_KERNEL_parameters of kernel_arguments.h).
void qm_kernel_groups(const struct qm_kernel_variant *variant, const uint32_t *parameters, uint32_t groups[3]);

// SHA-256 over the body's text and the definitions: equal for every API, different for another tile or format.
void qm_kernel_hash(const struct qm_kernel_variant *variant, char text[QM_HASH_TEXT_BYTES]);

// ---- Planting an error --------------------------------------------------------------------------------------------

// For tests of what happens when a driver computes wrong results: if the environment's QM_PLANT_WRONG_KERNEL is the
// variant's name without its tile ("matmul-w8-a8"), gives a stand-in whose decoder shifts by 8 where it should by 16,
// in SPIR-V and in OpenCL C; else the variant itself. Only kernels that decode int8 have a stand-in, and probes of ceilings,
// whose results are mixed by another factor.
const struct qm_kernel_variant *qm_kernel_planted(const struct qm_kernel_variant *variant);
// The stand-in itself; NULL where there is none. It lives until the program ends.
const struct qm_kernel_variant *qm_kernel_stand_in(const struct qm_kernel_variant *variant);

#endif
