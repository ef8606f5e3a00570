// Ceilings as a result has them (docs/RESULT_FORMAT.md, `ceilings`), and what a kernel's row says of them.
#ifndef QM_BENCH_CEILINGS_NODE_H
#define QM_BENCH_CEILINGS_NODE_H

#include "bench/ceilings.h"
#include "record/node.h"

// `seconds`, `kinds` and `bandwidth`. The caller destroys it; NULL without memory.
QM_MUST_USE struct qm_node *qm_ceilings_node(const struct qm_ceilings *ceilings);
// The same back; what is not there, or is no rate, is not measured. False where `node` is no mapping.
bool qm_ceilings_of_node(const struct qm_node *node, struct qm_ceilings *out);

// Where a kernel stands under the roofline; *out all zero where the ceilings leave it open.
struct qm_roofline {
    const char *ceiling; // name of what limits it
    double share;        // the least time that the ceilings allow over the time that it took
};
bool qm_roofline_of(const struct qm_ceilings *ceilings, const struct qm_kernel_variant *variant, double operations,
                    double bytes, double time_ns, struct qm_roofline *out);

#endif
