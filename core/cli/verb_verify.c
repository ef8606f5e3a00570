#include "bench/verify.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "record/node.h"
#include "record/result.h"
#include "record/sign.h"
#include "sys/parallel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct verify_options {
    bool with_all, as_json, allows_absent;
    const char *key; // of who should have signed; NULL: signatures are not looked at
};

static const char *word_of(const struct qm_verification *v, bool passes)
{
    if (v->difference_count > 0)
        return "differs";
    return passes ? "verified" : "samples absent";
}

static void print_difference(const struct qm_verify_finding *finding, const char *indent)
{
    printf("%s%s is %s", indent, finding->path, finding->is[0] ? finding->is : "''");
    if (finding->should[0])
        printf(", should be %s", finding->should);
    printf("; %s\n", finding->why);
}

static void print_text(const char *path, const struct qm_verification *v, const struct verify_options *options)
{
    bool passes = qm_verification_passes(v, options->allows_absent);
    char name[256]; // a path may hold what drives a terminal
    size_t used = 0;
    for (const char *c = path; *c && used + 1 < sizeof(name); ++c)
        name[used++] = (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c;
    name[used] = '\0';
    printf("%s: %s", name, word_of(v, passes));
    if (v->difference_count > 1)
        printf(" in %zu places", v->difference_count);
    printf("; %zu values recomputed, %zu as they stand\n", v->compared, v->raw);
    for (size_t i = 0; i < v->difference_count && (i == 0 || options->with_all); ++i)
        print_difference(&v->differences[i], "  ");
    if (v->difference_count > 1 && !options->with_all)
        printf("  and %zu more; --all lists them\n", v->difference_count - 1);
    if (!v->has_samples && v->needs_samples)
        printf("  samples absent: accuracy, throughput and gains were not recomputed\n");
    for (size_t i = 0; i < v->unchecked_count && options->with_all; ++i)
        printf("  not checked: %s: %s\n", v->unchecked[i].path, v->unchecked[i].why);
    if (v->unchecked_count > 0 && !options->with_all)
        printf("  %zu kinds of keys cannot be checked here; --all lists them\n", v->unchecked_count);
}

static void add_json(struct qm_node *list, const char *path, const struct qm_verification *v,
                     const struct verify_options *options)
{
    struct qm_node *row = qm_node_append_mapping(list);
    qm_node_set_text(row, "file", path);
    qm_node_set_text(row, "verdict", word_of(v, qm_verification_passes(v, options->allows_absent)));
    qm_node_set_bool(row, "passes", qm_verification_passes(v, options->allows_absent));
    qm_node_set_text(row, "samples", v->has_samples ? "read" : v->needs_samples ? "absent" : "none");
    qm_node_set_u64(row, "recomputed", v->compared);
    qm_node_set_u64(row, "raw", v->raw);
    struct qm_node *differences = qm_node_add_sequence(row, "differences");
    for (size_t i = 0; i < v->difference_count; ++i) {
        struct qm_node *item = qm_node_append_mapping(differences);
        qm_node_set_text(item, "path", v->differences[i].path);
        qm_node_set_text(item, "is", v->differences[i].is);
        qm_node_set_text(item, "should", v->differences[i].should);
        qm_node_set_text(item, "why", v->differences[i].why);
    }
    struct qm_node *unchecked = qm_node_add_sequence(row, "unchecked");
    for (size_t i = 0; i < v->unchecked_count; ++i) {
        struct qm_node *item = qm_node_append_mapping(unchecked);
        qm_node_set_text(item, "path", v->unchecked[i].path);
        qm_node_set_text(item, "why", v->unchecked[i].why);
    }
}

// Whether the result is signed by the key's holder; says so in a line, or under `signature`.
static enum qm_status check_signature(const char *path, const struct verify_options *options, struct qm_node *list,
                                      bool *passes)
{
    char reason[QM_SIGNATURE_REASON_BYTES];
    struct qm_node *result = NULL;
    QM_TRY(qm_result_load(path, &result, NULL));
    enum qm_signature_state state = qm_signature_verify_file(path, result, options->key, reason);
    qm_node_destroy(&result);
    if (state == QM_SIGNATURE_KEY_UNREADABLE)
        return QM_FAIL(QM_INVALID, "%s", reason);
    *passes = *passes && state == QM_SIGNATURE_GOOD;
    if (list) {
        struct qm_node *node = qm_node_add_mapping(qm_node_at(list, qm_node_count(list) - 1), "signature");
        qm_node_set_text(node, "state", qm_signature_state_name(state));
        qm_node_set_text(node, "reason", reason);
    } else {
        printf("  signature %s: %s\n", qm_signature_state_name(state), reason);
    }
    return QM_OK;
}

// One file, verified beside others; what is said of it is said afterwards, in order.
struct job {
    const char *path;
    struct qm_verification verification;
    enum qm_status status;
    char error[1024];
};

struct work {
    const struct qm_verifier *verifier;
    struct job *jobs;
};

static void verify_range(void *context, size_t begin, size_t end)
{
    struct work *work = context;
    for (size_t i = begin; i < end; ++i) {
        struct job *job = &work->jobs[i];
        job->status = qm_verify_file(work->verifier, job->path, &job->verification);
        if (job->status != QM_OK)
            snprintf(job->error, sizeof(job->error), "%s", qm_error_text());
    }
}

static enum qm_status report(const struct job *job, const struct verify_options *options, struct qm_node *list,
                             bool *passes)
{
    const struct qm_verification *v = &job->verification;
    if (job->status != QM_OK) {
        bool is_named = strstr(job->error, job->path) != NULL;
        return QM_FAIL(job->status, "%s%s%s", is_named ? "" : job->path, is_named ? "" : ": ", job->error);
    }
    *passes = *passes && qm_verification_passes(v, options->allows_absent);
    if (list)
        add_json(list, job->path, v, options);
    else
        print_text(job->path, v, options);
    return options->key ? check_signature(job->path, options, list, passes) : QM_OK;
}

static int verify(const struct verify_options *options, const char *const *files, size_t count)
{
    struct qm_verifier *verifier = NULL;
    struct qm_node *root = options->as_json ? qm_node_new_mapping() : NULL;
    struct qm_node *list = options->as_json ? qm_node_add_sequence(root, "results") : NULL;
    struct job *jobs = calloc(count, sizeof(*jobs));
    bool passes = true;
    enum qm_status status = jobs ? qm_verifier_open(&verifier) : QM_FAIL(QM_OUT_OF_MEMORY, "no memory to verify");
    if (status == QM_OK) {
        struct work work = {verifier, jobs};
        for (size_t i = 0; i < count; ++i)
            jobs[i].path = files[i];
        qm_parallel_for(count, verify_range, &work);
    }
    for (size_t i = 0; i < count && status == QM_OK; ++i)
        status = report(&jobs[i], options, list, &passes);
    for (size_t i = 0; jobs && i < count; ++i)
        qm_verification_free(&jobs[i].verification);
    free(jobs);
    qm_verifier_close(&verifier);
    if (status != QM_OK) {
        qm_node_destroy(&root);
        return qm_verb_fail(status);
    }
    int code = options->as_json ? qm_verb_print_json(&root) : QM_EXIT_OK;
    return code == QM_EXIT_OK && !passes ? QM_EXIT_NO : code;
}

int qm_verb_verify(int argc, char **argv)
{
    struct verify_options o = {0};
    const struct qm_option options[] = {
        {"all", QM_OPTION_FLAG, &o.with_all, NULL, "list every difference, and what cannot be checked"},
        {"allow-absent-samples", QM_OPTION_FLAG, &o.allows_absent, NULL,
         "without a samples file, go by the rest: exit 0 if that agrees"},
        {"key", QM_OPTION_TEXT, &o.key, "FILE.pub", "and whether the holder of this key has signed it"},
        {"json", QM_OPTION_FLAG, &o.as_json, NULL, "print what was found as JSON"},
    };
    const struct qm_command command = {
        .verb = "verify",
        .operands = "RESULT...",
        .operands_min = 1,
        .operands_max = 1000,
        .meaning = "Recompute results from their raw samples, and say where they differ.",
        .details =
            "Exit: 0 if everything agrees, 1 if something differs, the samples are absent or the signature\n"
            "is not good, 2 if a file cannot be read. docs/VERIFY.md says what can be recomputed and what cannot.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0])};
    const char **files = NULL;
    size_t count = 0;
    bool done = false;
    enum qm_status status = qm_command_parse(&command, argc, argv, &files, &count, &done);
    if (status != QM_OK)
        return qm_verb_fail(status);
    return done ? QM_EXIT_OK : verify(&o, files, count);
}
