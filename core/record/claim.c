#include "record/claim.h"
#include "record/components.h"
#include "record/result.h"
#include "record/result_table.h"
#include "record/suggest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT QM_RESULT_TEXT
#define HASH QM_RESULT_HASH
#define WHOLE QM_RESULT_WHOLE
#define NUMBER QM_RESULT_NUMBER
#define POSITIVE QM_RESULT_POSITIVE
#define CHOICE QM_RESULT_CHOICE
#define MAPPING QM_RESULT_MAPPING
#define LIST QM_RESULT_LIST

// A text may stand where this mapping would: what a press line says in place of it.
#define OR_TEXT 4

#define FORMAT(path, meaning)                                                                                          \
    {path, MAPPING, OR_TEXT, NULL, meaning}, {path ".format", TEXT, 0, NULL, "int4, float16, E4M3FN, ..."},            \
        {path ".storage", TEXT, 0, NULL, "encoding variant, symmetric or not, rounding, saturation"},                  \
        {path ".scales", TEXT, 0, NULL, "which values share a scale, and how it is stored"},                           \
        {path ".bits", NUMBER, 0, NULL, "per value, scales not counted"},                                              \
    {                                                                                                                  \
        path ".group_size", WHOLE, 0, NULL, "values that share a scale; 0: the whole row"                              \
    }

#define SET(path, flags, meaning)                                                                                      \
    {path, MAPPING, flags, NULL, meaning}, {path ".name", TEXT, 0, NULL, "its name"},                                  \
        {path ".sha256", HASH, 0, NULL, "of its content"}, {path ".sequences", WHOLE, 0, NULL, "sequences in it"},     \
        {path ".samples", WHOLE, 0, NULL, "images or other samples in it, where it has no sequences"},                 \
    {                                                                                                                  \
        path ".tokens", WHOLE, 0, NULL, "tokens in it"                                                                 \
    }

#define INTERVAL(path)                                                                                                 \
    {path ".low", NUMBER, 0, NULL, "low end of its interval"},                                                         \
    {                                                                                                                  \
        path ".high", NUMBER, 0, NULL, "high end of its interval"                                                      \
    }

#define POINT(path)                                                                                                    \
    {path ".phase", TEXT, 0, NULL, "prefill, decode, or what was done"},                                               \
        {path ".batch", WHOLE, 0, NULL, "sequences at a time"},                                                        \
        {path ".prompt", WHOLE, 0, NULL, "tokens of the prompt"},                                                      \
    {                                                                                                                  \
        path ".depth", WHOLE, 0, NULL, "tokens in the cache before"                                                    \
    }

// Every key may be absent but `claim`, and may be a word that tells nothing.
static const struct qm_result_row rows[] = {
    {"claim", WHOLE, 0, NULL, "1, the number of this format"},
    {"title", TEXT, 0, NULL, "one line"},
    {"claimant", TEXT, 0, NULL, "who claims"},
    {"source", TEXT, 0, NULL, "where it stands"},
    {"date", TEXT, 0, NULL, "when"},
    {"quote", TEXT, 0, NULL, "in the claimant's words"},
    {"subject", MAPPING, 0, NULL, "what was measured"},
    {"subject.device", TEXT, 0, NULL, "the device"},
    {"subject.device_type", TEXT, 0, NULL, "discrete, integrated, virtual, cpu (a software driver) or other"},
    {"subject.api", TEXT, 0, NULL, "the API or runtime"},
    {"subject.driver", TEXT, 0, NULL, "the driver, with version"},
    {"subject.model", TEXT, 0, NULL, "the model"},
    {"subject.model_sha256", HASH, 0, NULL, "of its weights file"},
    {"subject.parameters", WHOLE, 0, NULL, "its weights"},
    {"subject.widen", WHOLE, 0, NULL, "as model.widen of a result"},
    {"subject.weights_on_device", WHOLE, 0, NULL, "as model.weights_on_device of a result, where widened"},
    {"subject.operations_per_token", WHOLE, 0, NULL, "as model.operations_per_token of a result, where widened"},
    {"subject.scheme", TEXT, 0, NULL, "label of the scheme, such as w4a16-g32-kv8"},
    {"subject.identity", HASH, 0, NULL, "hash of the expanded scheme"},
    {"subject.artifact", HASH, 0, NULL, "id of the artifact"},
    {"subject.profile", TEXT, 0, NULL, "what was run"},
    {"subject.class", TEXT, 0, NULL, "as run.class of a result"},
    {"subject.container", TEXT, 0, NULL,
     "kind of the model's files; where it is told, the claim is what they say of themselves"},
    {"subject.architecture", TEXT, 0, NULL, "as the files name it"},
    {"subject.bytes", WHOLE, 0, NULL, "of all tensors in the files"},
    {"subject.quantized_by", TEXT, 0, NULL, "who quantized the files"},
    {"subject.program", TEXT, 0, NULL, "what quantized them, with its version"},
    {"subject.source_model", TEXT, 0, NULL, "the model that they were made from"},
    {"subject.source_revision", TEXT, 0, NULL, "its revision"},
    {"subject.source_sha256", HASH, 0, NULL, "of its weights"},
    {"subject.licence", TEXT, 0, NULL, "of the files"},
    {"subject.quantization_config", TEXT, 0, NULL, "what config.json says of the quantization, whole"},
    {"precision", MAPPING, OR_TEXT, NULL, "component: storage and arithmetic formats"},
    {"precision.label", TEXT, 0, NULL, "a label that does not say of which tensors: INT8"},
    FORMAT("precision.weights", "storage of weights"),
    FORMAT("precision.activations", "storage of activations"),
    FORMAT("precision.kv_cache", "storage of the KV cache; the word none where the model has none"),
    {"precision.arithmetic", TEXT, 0, NULL, "type of products and of sums"},
    {"tensors", MAPPING, OR_TEXT, NULL, "component: which tensors are quantized, each kind on its own"},
    {"tensors.statement", TEXT, 0, NULL, "in words"},
    {"tensors.weights", TEXT, 0, NULL, "which weights, and what stays in float"},
    {"tensors.activations", TEXT, 0, NULL, "which activations"},
    {"tensors.kv_cache", TEXT, 0, NULL, "keys, values"},
    SET("calibration_set", OR_TEXT, "component: the set; the word none where nothing is calibrated"),
    {"calibration_set.overlap", TEXT, 0, NULL, "how much of what is scored stands in it; none where nothing does"},
    {"calibration_method", MAPPING, OR_TEXT, NULL, "component: how scales were found; none for float formats"},
    {"calibration_method.name", TEXT, 0, NULL, "absmax, GPTQ, ..."},
    {"calibration_method.parameters", TEXT, 0, NULL, "every parameter; the word none without any"},
    {"calibration_method.clipped_fraction", NUMBER, 0, NULL, "of values beyond the largest code"},
    {"calibration_method.error_bound", NUMBER, 0, NULL, "of |x - s q| / s; none where the method has no bound"},
    {"calibration_method.error_worst", NUMBER, 0, NULL, "the worst seen, in the same unit"},
    {"accuracy", MAPPING, OR_TEXT, NULL, "component: of this artifact through these kernels on this device"},
    {"accuracy.statement", TEXT, 0, NULL, "in words, such as: no noticeable loss"},
    {"accuracy.reference", TEXT, 0, NULL, "what accuracy is against"},
    SET("accuracy.evaluation_set", OR_TEXT, "the set that was scored"),
    {"accuracy.tokens", WHOLE, 0, NULL, "scored tokens"},
    {"accuracy.confidence", NUMBER, 0, NULL, "of every interval, between 0 and 1"},
    {"accuracy.metrics", LIST, 0, NULL, "numbers of accuracy"},
    {"accuracy.metrics[].metric", TEXT, 0, NULL, "its name; 'qmark explain' knows those of results"},
    {"accuracy.metrics[].value", NUMBER, 0, NULL, "the estimate"},
    INTERVAL("accuracy.metrics[]"),
    {"accuracy.metrics[].reference", NUMBER, 0, NULL, "the same of the reference"},
    {"accuracy.metrics[].examples", WHOLE, 0, NULL, "how many it is over"},
    {"throughput_gain", MAPPING, OR_TEXT, NULL, "component: speed, and over what"},
    {"throughput_gain.statement", TEXT, 0, NULL, "in words"},
    {"throughput_gain.statistic", TEXT, 0, NULL, "what a ratio is: mean, median, up to"},
    {"throughput_gain.protocol", TEXT, 0, NULL, "how passes were ordered"},
    {"throughput_gain.baseline", MAPPING, OR_TEXT, NULL, "what the gain is over"},
    {"throughput_gain.baseline.scheme", TEXT, 0, NULL, "its precision"},
    {"throughput_gain.baseline.device", TEXT, 0, NULL, "same, or which"},
    {"throughput_gain.baseline.api", TEXT, 0, NULL, "same, or which API and software"},
    {"throughput_gain.baseline.model", TEXT, 0, NULL, "same, or which"},
    {"throughput_gain.baseline.protocol", TEXT, 0, NULL, "same, or which"},
    {"throughput_gain.gains", LIST, 0, NULL, "ratios over the baseline"},
    POINT("throughput_gain.gains[]"),
    {"throughput_gain.gains[].ratio", POSITIVE, 0, NULL, "above 1: faster than the baseline"},
    INTERVAL("throughput_gain.gains[]"),
    {"throughput_gain.rates", LIST, 0, NULL, "rates"},
    POINT("throughput_gain.rates[]"),
    {"throughput_gain.rates[].rate", POSITIVE, 0, NULL, "in `unit`"},
    INTERVAL("throughput_gain.rates[]"),
    {"throughput_gain.rates[].unit", TEXT, 0, NULL, "tokens/s, samples/s, TOPS"},
    {"sustained", MAPPING, OR_TEXT, NULL, "component: whether the rate holds"},
    {"sustained.statement", TEXT, 0, NULL, "in words"},
    POINT("sustained"),
    {"sustained.window_s", POSITIVE, 0, NULL, "seconds of contiguous measurement"},
    {"sustained.steady", CHOICE, 0, "yes|no|undecidable|too short|true|false",
     "whether the rate was steady; too short: cannot be told"},
    {"sustained.rate", POSITIVE, 0, NULL, "in `unit`, after steady state"},
    INTERVAL("sustained"),
    {"sustained.unit", TEXT, 0, NULL, "tokens/s, samples/s"},
    {"sustained.burst_rate", POSITIVE, 0, NULL, "of the first passes, before clocks fall"},
    {"sustained.latency_ms", MAPPING, 0, NULL, "of a pass or a step"},
    {"sustained.latency_ms.p50", POSITIVE, 0, NULL, "median"},
    {"sustained.latency_ms.p95", POSITIVE, 0, NULL, "95th percentile"},
    {"sustained.latency_ms.p99", POSITIVE, 0, NULL, "99th percentile"},
    {"sustained.throttling", TEXT, 0, NULL, "none seen, or what was"},
    {"tool_chain", MAPPING, OR_TEXT, NULL, "component: what turned the kernels into a program of the device"},
    {"tool_chain.statement", TEXT, 0, NULL, "in words"},
    {"tool_chain.kernel_hash", HASH, 0, NULL, "over the sources of all kernels used"},
    {"tool_chain.kernel_source", TEXT, 0, NULL, "instead: a public source with its version"},
    {"tool_chain.binary_hash", TEXT, 0, NULL, "instead: of the program that ran"},
    {"tool_chain.tiles", TEXT, 0, NULL, "fixed, or tuned for this device"},
    {"tool_chain.compiler", TEXT, 0, NULL, "compiler of the kernels, with version"},
    {"tool_chain.build_options", TEXT, 0, NULL, "its options"},
    {"tool_chain.driver", TEXT, 0, NULL, "driver with version"},
    {"tool_chain.loader", TEXT, 0, NULL, "loader or runtime with version"},
    {"tool_chain.timer", TEXT, 0, NULL, "clock of the rates: device or wall"},
    {"tool_chain.policy", TEXT, 0, NULL, "how work is submitted"},
    {"acceptance", MAPPING, OR_TEXT, NULL, "component: bounds, and whether they hold"},
    {"acceptance.statement", TEXT, 0, NULL, "in words"},
    {"acceptance.verdict", CHOICE, 0, "pass|fail|inconclusive", "all together"},
    {"acceptance.criteria", LIST, 0, NULL, "one row per bound"},
    {"acceptance.criteria[].metric", TEXT, 0, NULL, "a metric of accuracy.metrics"},
    {"acceptance.criteria[].side", CHOICE, 0, "at_most|at_least", "which side is good"},
    {"acceptance.criteria[].bound", NUMBER, 0, NULL, "the bound"},
    {"acceptance.criteria[].verdict", CHOICE, 0, "pass|fail|inconclusive", "its verdict"},
    {0},
};

const char *qm_claim_table_path(size_t index)
{
    return index < sizeof(rows) / sizeof(rows[0]) ? rows[index].path : NULL;
}

const char *qm_claim_table_meaning(size_t index)
{
    return qm_claim_table_path(index) ? rows[index].meaning : NULL;
}

void qm_utf8_trim(char *text)
{
    size_t end = strlen(text);
    size_t start = end;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    unsigned char lead = start > 0 ? (unsigned char)text[start - 1] : 0;
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (lead >= 0xc0 && end - start + 1 < length)
        text[start - 1] = '\0';
}

// ---- Checking -----------------------------------------------------------------------------------------------------

#define WORD_BYTES 44

// The beginning of somebody's text, on one line, for a message.
static const char *one_line(const char *text, char out[WORD_BYTES])
{
    snprintf(out, WORD_BYTES, "%s", text);
    qm_utf8_trim(out);
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    return out;
}

static enum qm_status check_value(const struct qm_node *node, const char *key, const struct qm_result_row *row)
{
    const char *text = qm_node_text(node);
    if (text && (qm_component_is_silent(text) || strcmp(text, "none") == 0 || ((row->flags & OR_TEXT) && *text)))
        return QM_OK;
    if (qm_result_row_fits(row, node))
        return QM_OK;
    char word[WORD_BYTES];
    const char *is = text ? one_line(text, word) : qm_node_is_mapping(node) ? "a mapping" : "a list";
    const char *or_text = row->flags & OR_TEXT ? " or a text" : "";
    if (row->type == CHOICE)
        return qm_node_invalid(node, "'%s' is '%s'; expected one of %s, or 'undisclosed'", key, is, row->choices);
    return qm_node_invalid(node, "'%s' is '%s'; expected %s%s, or 'undisclosed'", key, is,
                           qm_result_type_text(row->type), or_text);
}

// Follows `path` below `node`, into every item of a list. What is absent is undisclosed, and no error.
static enum qm_status check_row(const struct qm_node *node, const char *path, const struct qm_result_row *row)
{
    char key[64];
    size_t length = strcspn(path, ".[");
    snprintf(key, sizeof(key), "%.*s", (int)length, path);
    const struct qm_node *child = qm_node_child(node, key);
    path += length;
    if (!child)
        return QM_OK;
    if (!*path)
        return check_value(child, key, row);
    if (*path == '.')
        return check_row(child, path + 1, row);
    for (size_t i = 0; i < qm_node_count(child); i++)
        QM_TRY(check_row(qm_node_at(child, i), path + strlen("[]."), row));
    return QM_OK;
}

// A key at the top that is misspelt would silently be undisclosed.
static enum qm_status check_keys(const struct qm_node *claim)
{
    const char *names[32];
    size_t count = 0;
    for (const struct qm_result_row *row = rows; row->path && count < 31; row++)
        if (!strpbrk(row->path, ".["))
            names[count++] = row->path;
    names[count++] = "remarks";
    for (size_t i = 0; i < qm_node_count(claim); i++) {
        const char *key = qm_node_key_at(claim, i);
        size_t at = 0;
        while (at < count && strcmp(names[at], key) != 0)
            at++;
        if (at < count)
            continue;
        const char *near = qm_suggest(key, names, count);
        char word[WORD_BYTES];
        return qm_node_invalid(qm_node_at(claim, i), "unknown key '%s'; %s%s%s", one_line(key, word),
                               near ? "did you mean '" : "see docs/CLAIM_FORMAT.md", near ? near : "",
                               near ? "'?" : "");
    }
    return QM_OK;
}

static enum qm_status check_nodes(const struct qm_node *node)
{
    double low = 0;
    double high = 0;
    if (qm_node_is_mapping(node) && qm_node_double_at(node, "low", &low) && qm_node_double_at(node, "high", &high) &&
        low > high)
        return qm_node_invalid(qm_node_child(node, "low"),
                               "'low' is above 'high'; expected an interval from low to high");
    for (size_t i = 0; i < qm_node_count(node); i++) {
        if (qm_node_is_sequence(node) && qm_node_is_sequence(qm_node_at(node, i)))
            return qm_node_invalid(qm_node_at(node, i), "a list within a list; expected mappings or texts");
        QM_TRY(check_nodes(qm_node_at(node, i)));
    }
    return QM_OK;
}

enum qm_status qm_claim_check(const struct qm_node *claim)
{
    uint64_t schema = 0;
    double confidence = 0;
    const struct qm_node *number = qm_node_child(claim, "claim");
    if (!number)
        return qm_node_invalid(claim,
                               "no claim: it lacks the key 'claim'; expected 'claim: %d' as "
                               "docs/CLAIM_FORMAT.md says (of a result, 'qmark claim --format yaml' makes one)",
                               QM_CLAIM_SCHEMA);
    QM_TRY(qm_node_read_u64(number, &schema));
    if (schema != QM_CLAIM_SCHEMA)
        return qm_node_invalid(number, "'claim' is %" PRIu64 "; this qmark reads %d", schema, QM_CLAIM_SCHEMA);
    QM_TRY(check_keys(claim));
    for (const struct qm_result_row *row = rows; row->path; row++)
        QM_TRY(check_row(claim, row->path, row));
    const struct qm_node *metrics = qm_node_get(claim, "accuracy.metrics");
    for (size_t i = 0; i < qm_node_count(metrics); i++)
        if (!qm_node_text(qm_node_child(qm_node_at(metrics, i), "metric")))
            return qm_node_invalid(qm_node_at(metrics, i), "a number of accuracy without a name; add 'metric'");
    if (qm_node_double_at(claim, "accuracy.confidence", &confidence) && !(confidence > 0 && confidence < 1))
        return qm_node_invalid(qm_node_get(claim, "accuracy.confidence"),
                               "'confidence' is %g; expected a number between 0 and 1, such as 0.95", confidence);
    const struct qm_node *remarks = qm_node_child(claim, "remarks");
    if (remarks && !qm_node_is_sequence(remarks))
        return qm_node_invalid(remarks, "'remarks' is no list; expected a list of texts");
    for (size_t i = 0; i < qm_node_count(remarks); i++)
        if (!qm_node_is_text(qm_node_at(remarks, i)))
            return qm_node_invalid(qm_node_at(remarks, i), "a remark is no text; expected a list of texts");
    return check_nodes(claim);
}

// ---- Texts on one line ----------------------------------------------------------------------------------------------

// Control characters: C0, delete, and C1 in its two bytes of UTF-8; and what base/text.h has beside them: separators of
// lines, and characters that change the direction.
static size_t control_bytes(const char *at)
{
    unsigned char c = (unsigned char)at[0];
    unsigned char second = c ? (unsigned char)at[1] : 0;
    unsigned char third = second ? (unsigned char)at[2] : 0;
    if (c == 0xd8 && second == 0x9c)
        return 2;
    if (c == 0xe2 && second == 0x80 && (third == 0x8e || third == 0x8f || (third >= 0xa8 && third <= 0xae)))
        return 3;
    if (c == 0xe2 && second == 0x81 && third >= 0xa6 && third <= 0xa9)
        return 3;
    if (c == 0xc2 && second >= 0x80 && second < 0xa0)
        return 2;
    return (c < 0x20 && c != 0) || c == 0x7f ? 1 : 0;
}

static bool is_dirty(const struct qm_node *node)
{
    for (const char *c = qm_node_text(node); c && *c; c++)
        if (control_bytes(c) > 0)
            return true;
    return false;
}

// A copy with blanks for control characters and none at the end; NULL without memory.
static char *cleaned(const char *text)
{
    char *copy = strdup(text);
    for (char *c = copy; c && *c; c++)
        for (size_t bytes = control_bytes(c); bytes > 0; bytes--)
            c[bytes - 1] = ' ';
    for (size_t end = copy ? strlen(copy) : 0; end > 0 && copy[end - 1] == ' '; end--)
        copy[end - 1] = '\0';
    return copy;
}

static struct qm_node *cleaned_list(const struct qm_node *list)
{
    struct qm_node *clean = qm_node_new_sequence();
    for (size_t i = 0; i < qm_node_count(list); i++) {
        const struct qm_node *item = qm_node_at(list, i);
        char *text = is_dirty(item) ? cleaned(qm_node_text(item)) : NULL;
        if (text)
            qm_node_append_text(clean, text);
        else
            qm_node_append_node(clean, qm_node_copy(item));
        free(text);
    }
    return clean;
}

void qm_claim_tidy(struct qm_node *node)
{
    for (size_t i = 0; i < qm_node_count(node); i++) {
        struct qm_node *child = qm_node_at(node, i);
        bool has_dirty_item = false;
        for (size_t k = 0; qm_node_is_sequence(child) && k < qm_node_count(child); k++)
            has_dirty_item = has_dirty_item || is_dirty(qm_node_at(child, k));
        if (qm_node_is_mapping(node) && (is_dirty(child) || has_dirty_item)) {
            char *key = strdup(qm_node_key_at(node, i)); // the node that has it is about to go
            char *text = has_dirty_item ? NULL : cleaned(qm_node_text(child));
            if (key && has_dirty_item)
                qm_node_set_node(node, key, cleaned_list(child));
            else if (key && text)
                qm_node_set_text(node, key, text);
            free(key);
            free(text);
        }
        qm_claim_tidy(qm_node_at(node, i));
    }
}

// ---- Filling in -----------------------------------------------------------------------------------------------------

// The mapping that a path's last key stands in, made where it is missing; NULL where a text stands in its place.
static struct qm_node *holder_of(struct qm_node *node, const char *path, size_t length, const char **key)
{
    char name[64];
    size_t part = strcspn(path, ".|");
    *key = path;
    if (part >= length || part >= sizeof(name))
        return node;
    snprintf(name, sizeof(name), "%.*s", (int)part, path);
    struct qm_node *child = qm_node_child(node, name);
    if (!child)
        child = qm_node_add_mapping(node, name);
    return qm_node_is_mapping(child) ? holder_of(child, path + part + 1, length - part - 1, key) : NULL;
}

static void fill_component(struct qm_node *claim, const struct qm_component *component)
{
    struct qm_node *value = qm_node_child(claim, component->name);
    if (!value)
        value = qm_node_add_mapping(claim, component->name);
    for (const struct qm_component_key *key = component->keys; qm_node_is_mapping(value) && key->path; key++) {
        const char *last = NULL;
        char name[64];
        size_t length = strcspn(key->path, "|");
        struct qm_node *holder = NULL;
        if (key->flags != 0 && !qm_component_tells(component, key, value))
            holder = holder_of(value, key->path, length, &last);
        if (!holder)
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(last, "|"), last);
        if (!qm_node_child(holder, name))
            qm_node_set_text(holder, name, "undisclosed");
    }
}

void qm_claim_fill(struct qm_node *claim)
{
    static const char *const words[] = {"model", "device", "api"};
    struct qm_node *subject = qm_node_child(claim, "subject");
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (!qm_node_child(subject, words[i]))
            qm_node_set_text(subject, words[i], "undisclosed");
    if (qm_node_child(subject, "container"))
        fill_component(claim, &qm_component_file);
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++)
        fill_component(claim, &qm_components[i]);
}

// ---- Reading --------------------------------------------------------------------------------------------------------

// What qmark writes itself may repeat rows by aliases.
static const struct qm_node_limits limits = {.bytes = 256 * 1024, .depth = 16, .nodes = 10000, .alias_nodes = 2000};

static enum qm_status checked(struct qm_node **claim)
{
    enum qm_status status = qm_claim_check(*claim);
    if (status == QM_OK)
        qm_claim_tidy(*claim);
    if (status == QM_OK && !qm_node_ok(*claim))
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a claim; close other programs and try again");
    if (status != QM_OK)
        qm_node_destroy(claim);
    return status;
}

enum qm_status qm_claim_load(const char *path, struct qm_node **out)
{
    QM_TRY(qm_node_load_yaml(path, &limits, out));
    return checked(out);
}

enum qm_status qm_claim_parse(const void *bytes, size_t count, const char *name, struct qm_node **out)
{
    QM_TRY(qm_node_parse(bytes, count, name, &limits, out));
    return checked(out);
}
