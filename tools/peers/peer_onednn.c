// oneDNN on the host: float, and int8 by int8 into int32. The weights are given in the layout that oneDNN asks for; the
// reorder is done once and not timed, as qmark's packing is not.
#include "peer.h"

#include <dnnl.h>
#include <stdio.h>
#include <string.h>

static const struct peer_product *product;
static dnnl_engine_t engine;
static dnnl_stream_t stream;
static dnnl_primitive_t matmul;
static dnnl_memory_t a, b, packed, c;

const char *peer_name(void)
{
    static char name[64];
    const dnnl_version_t *v = dnnl_version();
    snprintf(name, sizeof(name), "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    return name;
}

bool peer_open(char reason[200])
{
    bool is_open = dnnl_engine_create(&engine, dnnl_cpu, 0) == dnnl_success &&
                   dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) == dnnl_success;
    if (!is_open)
        snprintf(reason, 200, "oneDNN opens no CPU engine");
    return is_open;
}

static bool run_reorder(dnnl_memory_t from, const dnnl_memory_desc_t *from_desc, dnnl_memory_t to,
                        const dnnl_memory_desc_t *to_desc)
{
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t reorder;
    if (dnnl_reorder_primitive_desc_create(&desc, from_desc, engine, to_desc, engine, NULL) != dnnl_success)
        return false;
    bool is_made = dnnl_primitive_create(&reorder, desc) == dnnl_success;
    dnnl_primitive_desc_destroy(desc);
    if (!is_made)
        return false;
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    bool is_done = dnnl_primitive_execute(reorder, stream, 2, arguments) == dnnl_success &&
                   dnnl_stream_wait(stream) == dnnl_success;
    dnnl_primitive_destroy(reorder);
    return is_done;
}

bool peer_prepare(const struct peer_product *p, char reason[200])
{
    const dnnl_dim_t m = (dnnl_dim_t)p->m, n = (dnnl_dim_t)p->n, k = (dnnl_dim_t)p->k;
    const dnnl_data_type_t in = p->is_int8 ? dnnl_s8 : dnnl_f32, out = p->is_int8 ? dnnl_s32 : dnnl_f32;
    dnnl_memory_desc_t a_desc, b_desc, any_desc, c_desc;
    dnnl_matmul_desc_t operation;
    dnnl_primitive_desc_t desc = NULL;
    product = p;
    bool is_made =
        dnnl_memory_desc_init_by_tag(&a_desc, 2, (dnnl_dims_t){m, k}, in, dnnl_ab) == dnnl_success &&
        dnnl_memory_desc_init_by_tag(&b_desc, 2, (dnnl_dims_t){k, n}, in, dnnl_ba) == dnnl_success &&
        dnnl_memory_desc_init_by_tag(&any_desc, 2, (dnnl_dims_t){k, n}, in, dnnl_format_tag_any) == dnnl_success &&
        dnnl_memory_desc_init_by_tag(&c_desc, 2, (dnnl_dims_t){m, n}, out, dnnl_ab) == dnnl_success &&
        dnnl_matmul_desc_init(&operation, &a_desc, &any_desc, NULL, &c_desc) == dnnl_success &&
        dnnl_primitive_desc_create(&desc, &operation, NULL, engine, NULL) == dnnl_success &&
        dnnl_primitive_create(&matmul, desc) == dnnl_success;
    if (is_made) {
        const dnnl_memory_desc_t *wanted = dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
        is_made = dnnl_memory_create(&a, &a_desc, engine, (void *)(uintptr_t)p->a) == dnnl_success &&
                  dnnl_memory_create(&b, &b_desc, engine, (void *)(uintptr_t)p->b) == dnnl_success &&
                  dnnl_memory_create(&packed, wanted, engine, DNNL_MEMORY_ALLOCATE) == dnnl_success &&
                  dnnl_memory_create(&c, &c_desc, engine, p->c) == dnnl_success &&
                  run_reorder(b, &b_desc, packed, wanted);
    }
    if (desc)
        dnnl_primitive_desc_destroy(desc);
    if (!is_made)
        snprintf(reason, 200, "oneDNN makes no matmul of this shape");
    return is_made;
}

bool peer_run(void)
{
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, packed}, {DNNL_ARG_DST, c}};
    return dnnl_primitive_execute(matmul, stream, 3, arguments) == dnnl_success &&
           dnnl_stream_wait(stream) == dnnl_success;
}

bool peer_fetch(void)
{
    return true;
}

void peer_release(void)
{
    dnnl_memory_t *const all[] = {&a, &b, &packed, &c};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i) {
        if (*all[i])
            dnnl_memory_destroy(*all[i]);
        *all[i] = NULL;
    }
    if (matmul)
        dnnl_primitive_destroy(matmul);
    matmul = NULL;
}
