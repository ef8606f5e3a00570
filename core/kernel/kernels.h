// The table of kernel variants that the build made, and what the core needs to know of them: which tile suits a device,
// how many workgroups a shape takes, and the hash that a result discloses.
#ifndef QM_BENCH_KERNELS_H
#define QM_BENCH_KERNELS_H

#include "backends/backend.h"
#include "base/hash.h"

extern const struct qm_kernel_variant qm_kernel_variants[];
extern const size_t qm_kernel_variant_count;

// ---- Tiers and tiles ----------------------------------------------------------------------------------------------

// What a device must be able to do beyond the portable floor. A tier is used only where the device's self-test found that
// it works.
enum qm_tier {
    QM_TIER_BASE,
    QM_TIER_TEXEL,    // weights and activations read through texel buffers
    QM_TIER_F16,      // products in binary16, added up in float32 every few k
    QM_TIER_DOT,      // products of four int8 by one instruction
    QM_TIER_SUBGROUP, // reductions by exchange within a subgroup
    QM_TIER_MATRIX,   // products by the device's matrix units
    QM_TIER_COUNT
};
const char *qm_tier_name(enum qm_tier tier); // "base", "texel", "f16", "dot", "subgroup", "matrix"
bool qm_tier_find(const char *name, enum qm_tier *out);

enum qm_tier_state {
    QM_TIER_UNSUPPORTED, // the driver does not offer it
    QM_TIER_UNTRIED,
    QM_TIER_FAILED, // it is advertised, and the self-test saw it fail
    QM_TIER_WORKS
};
// Of capabilities as the self-test left them (struct qm_selftest), or as the driver lists them.
enum qm_tier_state qm_tier_state(enum qm_tier tier, const struct qm_capability *capabilities, size_t count);
// "works", "advertised, failed self-test: ...", "unsupported: ...".
void qm_tier_text(enum qm_tier tier, const struct qm_capability *capabilities, size_t count, char text[192]);
// Bit t: tier t works. Bit 0 is always set.
uint32_t qm_tiers_working(const struct qm_capability *capabilities, size_t count);

enum qm_device_class {
    QM_CLASS_CPU,
    QM_CLASS_INTEGRATED, // shares the host's memory; also devices of unknown kind
    QM_CLASS_DISCRETE,
    QM_CLASS_MOBILE // as integrated, with at most 32 KiB of local memory
};
enum qm_device_class qm_device_class(const struct qm_device_info *info);
const char *qm_device_class_name(enum qm_device_class device_class);

// A tile's name as qm_kernel_find takes it: a tile of kernels/tiles.txt, then the tiers whose variants go before its own
// where a kernel has them: "narrow", "large+dot+subgroup". Texts are static.
enum {
    QM_TILE_BYTES = 48
};

// The fixed tile for a device, by its class and limits, with the tiers of `working` that suit its class. Texel buffers only
// where the device reads as many bytes as texels as a kernel binds at once, `texel_bytes`.
const char *qm_tiers_best(const struct qm_device_info *info, uint32_t working, uint64_t texel_bytes);

// The same with one tier: kernels that have no variant of it take their base. QM_UNSUPPORTED, with the reason and what the
// device has, where it does not work.
QM_MUST_USE enum qm_status qm_tiers_force(const struct qm_device_info *info, const struct qm_capability *capabilities,
                                          size_t count, enum qm_tier tier, uint64_t texel_bytes, const char **tile);

// The fixed tile without any tier but texel, which no bit depends on; QM_KERNEL_BASE_TIER keeps to base.
#define QM_KERNEL_BASE_TIER UINT64_MAX
const char *qm_kernel_tile(const struct qm_device_info *info, uint64_t texel_bytes);

// The tier that a variant was compiled for, by its definitions.
const char *qm_kernel_tier(const struct qm_kernel_variant *variant);

// The variant `name` ("matmul-w8-a8") for a tile; kernels without that tile give that of the next smaller one, at last the
// narrow one. With "+tuned" behind it the variant as it is configured in this process (configure.h). NULL: no such name.
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
