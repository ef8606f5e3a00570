// Pictures: of usual, empty, wrong, hostile and huge results each is XML that another reader takes, has marks where there is
// something to mark and none where there must not be, tells inside what it is of, and holds no markup of a stranger's.
#include "bench/raw.h"
#include "model/safetensors.h"
#include "record/node.h"
#include "record/result.h"
#include "report/picture_set.h"
#include "report/pictures.h"
#include "report/report_only.h"
#include "report/svg.h"
#include "sys/file.h"

#include <expat.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "test/stored_result.h"

enum {
    BOXES_MAX = 4000,
    IDS_MAX = 64,
    RESULTS_MAX = 20
};

// ---- What a stranger's reader sees in a drawing -----------------------------------------------------------------------

struct box {
    double left, right, top, bottom;
    char text[64];
};

struct drawing {
    double width, height;
    size_t marks, elements, id_count, label_count;
    char ids[IDS_MAX][64];
    struct qm_text text; // of all <text> elements, with blanks between
    struct qm_text titles;
    bool in_text, in_title;
    enum qm_svg_anchor anchor;
    double x, y, size;
    bool is_upward, is_label;
    char line[1024];
    struct box labels[BOXES_MAX]; // of marks in a plot, which must not touch each other
};

static const char *attribute_of(const char **attributes, const char *name)
{
    for (size_t i = 0; attributes[i]; i += 2) {
        if (strcmp(attributes[i], name) == 0)
            return attributes[i + 1];
    }
    return NULL;
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++) {
        if (strcmp(name, *names) == 0)
            return true;
    }
    return false;
}

static double number_of(const char **attributes, const char *name)
{
    const char *text = attribute_of(attributes, name);
    return text ? strtod(text, NULL) : 0;
}

static void look_at_text(struct drawing *d, const char **attributes)
{
    const char *classes = attribute_of(attributes, "class"), *anchor = attribute_of(attributes, "text-anchor");
    d->in_text = true;
    d->line[0] = '\0';
    d->is_upward = attribute_of(attributes, "transform") != NULL;
    d->x = number_of(attributes, "x");
    d->y = number_of(attributes, "y");
    d->anchor = !anchor ? QM_SVG_START : strcmp(anchor, "middle") == 0 ? QM_SVG_MIDDLE : QM_SVG_END;
    assert_non_null(classes);
    d->size = strstr(classes, "qp-title") ? 18 : strstr(classes, "qp-sub") || strstr(classes, "qp-head") ? 13 : 11;
    d->is_label = strstr(classes, "qp-lab qp-halo") != NULL;
}

static void on_start(void *data, const char *name, const char **attributes)
{
    static const char *const elements[] = {"svg",  "title", "desc", "style",  "defs", "pattern", "rect",
                                           "line", "path",  "g",    "circle", "text", NULL};
    static const char *const known[] = {"xmlns",
                                        "class",
                                        "id",
                                        "role",
                                        "aria-labelledby",
                                        "width",
                                        "height",
                                        "viewBox",
                                        "x",
                                        "y",
                                        "x1",
                                        "x2",
                                        "y1",
                                        "y2",
                                        "cx",
                                        "cy",
                                        "r",
                                        "d",
                                        "fill",
                                        "transform",
                                        "text-anchor",
                                        "patternUnits",
                                        NULL};
    struct drawing *d = data;
    d->elements++;
    if (!is_one_of(name, elements))
        fail_msg("an element <%s>", name);
    for (size_t i = 0; attributes[i]; i += 2) {
        const char *value = attributes[i + 1];
        if (!is_one_of(attributes[i], known))
            fail_msg("an attribute %s of <%s>", attributes[i], name);
        if (strstr(value, "nan") || strstr(value, "inf") || strstr(value, "evil"))
            fail_msg("%s=\"%s\" of <%s>", attributes[i], value, name);
        if (strcmp(attributes[i], "fill") == 0)
            assert_int_equal(strncmp(value, "url(#qp-", 8), 0);
        if (strcmp(attributes[i], "id") == 0) {
            assert_int_equal(strncmp(value, "qp-", 3), 0);
            assert_true(d->id_count < IDS_MAX);
            for (size_t k = 0; k < d->id_count; k++)
                assert_string_not_equal(d->ids[k], value);
            snprintf(d->ids[d->id_count++], sizeof(d->ids[0]), "%s", value);
        }
    }
    const char *classes = attribute_of(attributes, "class");
    d->marks += strcmp(name, "g") == 0 && classes && strcmp(classes, "qp-mark") == 0;
    if (strcmp(name, "svg") == 0) {
        d->width = number_of(attributes, "width");
        d->height = number_of(attributes, "height");
    }
    if (strcmp(name, "title") == 0)
        d->in_title = true;
    if (strcmp(name, "text") == 0)
        look_at_text(d, attributes);
}

static void on_text(void *data, const char *text, int length)
{
    struct drawing *d = data;
    if (d->in_title)
        qm_text_append(&d->titles, "%.*s", length, text);
    if (d->in_text) {
        size_t used = strlen(d->line);
        snprintf(d->line + used, sizeof(d->line) - used, "%.*s", length, text);
    }
}

static void on_end(void *data, const char *name)
{
    struct drawing *d = data;
    if (strcmp(name, "title") == 0) {
        d->in_title = false;
        qm_text_append(&d->titles, "\n");
    }
    if (strcmp(name, "text") != 0)
        return;
    d->in_text = false;
    qm_text_append(&d->text, "%s ", d->line);
    if (d->is_upward)
        return;
    // By the widths of a common font, some 10 % narrower than those that the writer counts with.
    double width = qm_svg_text_width(d->line, d->size) * 0.9;
    double left = d->anchor == QM_SVG_START ? d->x : d->anchor == QM_SVG_MIDDLE ? d->x - width / 2 : d->x - width;
    if (left < -1 || left + width > d->width + 1 || d->y < 5 || d->y > d->height)
        fail_msg("\"%s\" at %g, %g lies beyond the drawing of %g x %g", d->line, left, d->y, d->width, d->height);
    if (!d->is_label)
        return;
    assert_true(d->label_count < BOXES_MAX);
    struct box *box = &d->labels[d->label_count++];
    *box = (struct box){left, left + width, d->y - 9, d->y + 1, ""};
    snprintf(box->text, sizeof(box->text), "%.60s", d->line);
    for (size_t i = 0; i + 1 < d->label_count; i++) {
        const struct box *other = &d->labels[i];
        if (box->left < other->right && other->left < box->right && box->top < other->bottom &&
            other->top < box->bottom)
            fail_msg("\"%s\" touches \"%s\"", box->text, other->text);
    }
}

static struct drawing *parse(const struct qm_text *svg)
{
    struct drawing *d = calloc(1, sizeof(*d));
    XML_Parser parser = XML_ParserCreate("UTF-8");
    assert_non_null(d);
    assert_non_null(parser);
    XML_SetUserData(parser, d);
    XML_SetElementHandler(parser, on_start, on_end);
    XML_SetCharacterDataHandler(parser, on_text);
    if (XML_Parse(parser, svg->bytes, (int)svg->used, 1) != XML_STATUS_OK)
        fail_msg("line %lu: %s", (unsigned long)XML_GetCurrentLineNumber(parser),
                 XML_ErrorString(XML_GetErrorCode(parser)));
    XML_ParserFree(parser);
    return d;
}

static void release(struct drawing *d)
{
    qm_text_free(&d->text);
    qm_text_free(&d->titles);
    free(d);
}

// ---- Drawing ----------------------------------------------------------------------------------------------------------

static struct qm_picture_set *set_of(struct qm_node *const *results, size_t count, const char *path)
{
    struct qm_picture_source sources[RESULTS_MAX * 5] = {{0}};
    struct qm_picture_set *set = NULL;
    assert_true(count <= sizeof(sources) / sizeof(sources[0]));
    for (size_t i = 0; i < count; i++)
        sources[i] = (struct qm_picture_source){.result = results[i], .path = path};
    assert_int_equal(qm_picture_set_create(sources, count, &set), QM_OK);
    return set;
}

static struct drawing *draw(const struct qm_picture_set *set, enum qm_picture picture, size_t index, unsigned width)
{
    struct qm_text svg = {0};
    struct qm_picture_params params = {.width = width, .standalone = true};
    if (qm_picture_draw(set, picture, index, &params, &svg) != QM_OK)
        fail_msg("%s %zu: %s", qm_picture_name(picture), index, qm_error_text());
    struct drawing *d = parse(&svg);
    qm_text_free(&svg);
    return d;
}

static bool tells(const struct drawing *d, const char *text)
{
    return strstr(qm_text_bytes(&d->text), text) != NULL;
}

// The caption: accuracy, calibration, device, hash, model and version.
static void check_caption(const struct drawing *d, const struct qm_node *result)
{
    char hash[16];
    snprintf(hash, sizeof(hash), "%.12s", qm_node_text_at(result, "hash", "?"));
    assert_true(tells(d, hash));
    assert_true(tells(d, "Accuracy (mean KL divergence"));
    assert_true(tells(d, "Calibration:"));
    assert_true(tells(d, "qmark 0."));
    assert_true(tells(d, "widen"));
}

static size_t marks_of(struct qm_node *const *results, size_t count, enum qm_picture picture)
{
    struct qm_picture_set *set = set_of(results, count, NULL);
    struct drawing *d = draw(set, picture, 0, QM_PICTURE_WIDE);
    size_t marks = d->marks;
    release(d);
    qm_picture_set_destroy(&set);
    return marks;
}

// Every drawing at both widths, each within a second; `most` marks at most, at least one where `has_marks`.
static void draw_all(struct qm_node *const *results, size_t count, bool has_marks)
{
    static const unsigned widths[] = {QM_PICTURE_WIDE, QM_PICTURE_NARROW, 320, 1440};
    struct qm_picture_set *set = set_of(results, count, NULL);
    for (int picture = 0; picture < QM_PICTURE_COUNT; picture++) {
        for (size_t i = 0; i < qm_picture_count(set, (enum qm_picture)picture); i++) {
            for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
                struct drawing *d = draw(set, (enum qm_picture)picture, i, widths[w]);
                assert_true(d->width == widths[w]);
                if (has_marks && d->marks == 0)
                    fail_msg("%s %zu has no marks", qm_picture_name((enum qm_picture)picture), i);
                if (!has_marks) {
                    assert_int_equal(d->marks, 0);
                    assert_true(tells(d, "Nothing to draw"));
                }
                if (has_marks && w == 0)
                    check_caption(d, results[qm_picture_source_of(set, (enum qm_picture)picture, i)]);
                release(d);
            }
        }
    }
    qm_picture_set_destroy(&set);
}

// The fixtures are older than ceilings.
static void add_ceilings(struct qm_node *result)
{
    struct qm_node *schemes = qm_node_child(result, "schemes"), *ceilings = qm_node_add_mapping(result, "ceilings");
    struct qm_node *kind = qm_node_append_mapping(qm_node_add_sequence(ceilings, "kinds"));
    struct qm_node *size = qm_node_append_mapping(qm_node_add_sequence(ceilings, "bandwidth"));
    qm_node_set_text(kind, "kind", "fp32");
    qm_node_set_double(kind, "rate", 200);
    qm_node_set_u64(size, "bytes", 1000000);
    qm_node_set_double(size, "read", 30);
    for (size_t s = 0; s < qm_node_count(schemes); s++) {
        struct qm_node *rows = qm_node_child(qm_node_at(schemes, s), "kernels");
        for (size_t i = 0; i < qm_node_count(rows); i++) {
            bool is_bytes = strcmp(qm_node_text_at(qm_node_at(rows, i), "unit", ""), "GB/s") == 0;
            qm_node_set_double(qm_node_at(rows, i), "intensity", is_bytes ? 0 : 4);
            qm_node_set_double(qm_node_at(rows, i), "share", 0.1 + 0.05 * (double)(i % 10));
            qm_node_set_text(qm_node_at(rows, i), "ceiling", is_bytes ? "read" : "fp32");
        }
    }
}

static void test_usual(void **state)
{
    (void)state;
    static const char *const names[] = {"result-sustained.yaml", "result-pocl.yaml", "result-sets.yaml"};
    struct qm_node *results[3];
    for (size_t i = 0; i < 3; i++)
        add_ceilings(results[i] = stored_result(names[i]));
    draw_all(results, 1, true);
    draw_all(results, 3, true);
    // Twenty of one device have names of their own, and stay small.
    struct qm_node *many[RESULTS_MAX];
    for (size_t i = 0; i < RESULTS_MAX; i++)
        many[i] = results[0];
    struct qm_picture_set *set = set_of(many, RESULTS_MAX, NULL);
    struct drawing *d = draw(set, QM_PICTURE_VENDORS, 0, QM_PICTURE_WIDE);
    assert_true(tells(d, " #19"));
    char hash[16];
    size_t told = 0; // each one's hash
    snprintf(hash, sizeof(hash), "%.12s", qm_node_text_at(results[0], "hash", "?"));
    for (const char *at = qm_text_bytes(&d->text); (at = strstr(at, hash)); at++)
        told++;
    assert_int_equal(told, RESULTS_MAX);
    release(d);
    size_t bytes = 0;
    for (int picture = 0; picture < QM_PICTURE_COUNT; picture++) {
        for (size_t i = 0; i < qm_picture_count(set, (enum qm_picture)picture); i++) {
            struct qm_text svg = {0};
            struct qm_picture_params params = {.width = 0};
            assert_int_equal(qm_picture_draw(set, (enum qm_picture)picture, i, &params, &svg), QM_OK);
            assert_null(strstr(qm_text_bytes(&svg), "<style"));
            bytes += svg.used;
            qm_text_free(&svg);
        }
    }
    assert_true(bytes < 1000000);
    qm_picture_set_destroy(&set);
    for (size_t i = 0; i < 3; i++)
        qm_node_destroy(&results[i]);
}

static void make_wrong(struct qm_node *scheme)
{
    qm_node_set_text(scheme, "status", "wrong");
    qm_node_set_text(scheme, "reason", "its kernel is wrong");
    qm_node_remove(scheme, "throughput");
    qm_node_remove(scheme, "gain");
    qm_node_remove(scheme, "sustained");
}

static void test_empty_and_wrong(void **state)
{
    (void)state;
    draw_all(NULL, 0, false);
    struct qm_node *result = stored_result("result-sustained.yaml"), *schemes = qm_node_child(result, "schemes");
    size_t all = marks_of(&result, 1, QM_PICTURE_TRADE), bars = marks_of(&result, 1, QM_PICTURE_VENDORS);
    assert_int_equal(all, 3);
    // One without an accuracy has no place in the trade; its bars say so.
    qm_node_set_text(qm_node_at(schemes, 1), "accuracy", "not measured");
    assert_int_equal(marks_of(&result, 1, QM_PICTURE_TRADE), all - 1);
    struct qm_picture_set *set = set_of(&result, 1, NULL);
    struct drawing *d = draw(set, QM_PICTURE_VENDORS, 0, 0);
    assert_int_equal(d->marks, bars);
    assert_true(tells(d, "accuracy: not measured"));
    release(d);
    d = draw(set, QM_PICTURE_TRADE, 0, 0);
    assert_true(tells(d, "1 whose accuracy was not measured"));
    release(d);
    d = draw(set, QM_PICTURE_SUSTAINED, 0, 0);
    assert_true(tells(d, "accuracy: not measured"));
    release(d);
    qm_picture_set_destroy(&set);
    // One that is wrong has none anywhere, but a reason, even if somebody left speeds in its row.
    qm_node_set_text(qm_node_at(schemes, 2), "status", "wrong");
    qm_node_set_text(qm_node_at(schemes, 2), "reason", "its logits are wrong");
    assert_int_equal(marks_of(&result, 1, QM_PICTURE_TRADE), all - 2);
    assert_int_equal(marks_of(&result, 1, QM_PICTURE_VENDORS), bars - 2);
    set = set_of(&result, 1, NULL);
    d = draw(set, QM_PICTURE_VENDORS, 0, 0);
    assert_true(tells(d, "its logits are wrong"));
    release(d);
    qm_picture_set_destroy(&set);
    for (size_t i = 0; i < qm_node_count(schemes); i++)
        make_wrong(qm_node_at(schemes, i));
    draw_all(&result, 1, false);
    qm_node_destroy(&result);
}

// A row that may not stand beside the others stands apart, with the reason.
static void test_apart(void **state)
{
    (void)state;
    struct qm_node *results[3] = {stored_result("result-sustained.yaml"), stored_result("result-sustained.yaml"),
                                  stored_result("result-sustained.yaml")};
    struct qm_picture_set *set = set_of(results, 3, NULL);
    struct drawing *d = draw(set, QM_PICTURE_VENDORS, 0, 0);
    assert_false(tells(d, "Apart:"));
    release(d);
    qm_picture_set_destroy(&set);
    qm_node_set_text(qm_node_child(results[2], "model"), "sha256",
                     "00000000000000000000000000000000000000000000000000000000000000ff");
    set = set_of(results, 3, NULL);
    d = draw(set, QM_PICTURE_VENDORS, 0, 0);
    assert_true(tells(d, "Apart:"));
    assert_true(tells(d, "model.sha256"));
    release(d);
    qm_picture_set_destroy(&set);
    for (size_t i = 0; i < 3; i++)
        qm_node_destroy(&results[i]);
}

// ---- Strangers --------------------------------------------------------------------------------------------------------

static const char evil[] = "evil\"'><script>alert(1)</script>&lt;<!--]]>\x1b[31m\xe2\x80\xae\xff\xef\xbf\xbf\n"
                           "<img src=x onerror=alert(1)> url(http://evil) ]]>  %s%n";

static void spoil(struct qm_node *node, bool with_numbers, double number)
{
    static const char *const kept[] = {"status", "phase", "kind", "unit", "steady", "side", "name", "baseline", NULL};
    bool is_sequence = qm_node_is_sequence(node);
    for (size_t i = 0; i < qm_node_count(node); i++) {
        struct qm_node *child = qm_node_at(node, i);
        const char *key = qm_node_key(child);
        double value = 0;
        if (!qm_node_is_text(child)) {
            spoil(child, with_numbers, number);
            continue;
        }
        if (is_sequence || !key || is_one_of(key, kept))
            continue;
        char own[64];
        snprintf(own, sizeof(own), "%.60s", key);
        if (qm_node_is_number(child) && qm_node_read_double(child, &value) == QM_OK) {
            if (with_numbers && strcmp(own, "batch") != 0)
                qm_node_set_double(node, own, number);
        } else if (!qm_node_is_bool(child)) {
            qm_node_set_text(node, own, evil);
        }
    }
}

static void test_hostile(void **state)
{
    (void)state;
    static const double numbers[] = {1e308, -1e308, 1e-308, 0};
    for (size_t n = 0; n <= sizeof(numbers) / sizeof(numbers[0]); n++) {
        struct qm_node *results[2] = {stored_result("result-sustained.yaml"), stored_result("result-pocl.yaml")};
        for (size_t r = 0; r < 2; r++) {
            struct qm_node *schemes = qm_node_child(results[r], "schemes");
            char *baseline = strdup(qm_node_text_at(results[r], "profile.baseline", "?"));
            spoil(results[r], n > 0, n > 0 ? numbers[n - 1] : 0);
            qm_node_set_text(qm_node_child(results[r], "device"), "name", evil);
            for (size_t i = 0; i < qm_node_count(schemes); i++)
                qm_node_set_textf(qm_node_at(schemes, i), "name", "%zu%s", i, evil);
            qm_node_set_textf(qm_node_child(results[r], "profile"), "baseline", "0%s", evil);
            free(baseline);
        }
        struct qm_picture_set *set = set_of(results, 2, "/nowhere/result.yaml");
        for (int picture = 0; picture < QM_PICTURE_COUNT; picture++) {
            for (size_t i = 0; i < qm_picture_count(set, (enum qm_picture)picture); i++) {
                struct qm_text svg = {0};
                struct qm_picture_params params = {.width = i ? 320 : 960, .standalone = true};
                assert_int_equal(qm_picture_draw(set, (enum qm_picture)picture, i, &params, &svg), QM_OK);
                assert_null(strstr(svg.bytes, "<script"));
                assert_null(strstr(svg.bytes, "<img"));
                assert_null(strstr(svg.bytes, "\x1b"));
                assert_null(strstr(svg.bytes, "\xe2\x80\xae"));
                release(parse(&svg));
                qm_text_free(&svg);
            }
        }
        qm_picture_set_destroy(&set);
        qm_node_destroy(&results[0]);
        qm_node_destroy(&results[1]);
    }
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); // other load on the machine is not ours
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

// 10,000 schemes, one in two wrong: quick, small, and told of by number.
static void test_many_schemes(void **state)
{
    (void)state;
    struct qm_node *result = stored_result("result-sustained.yaml"), *schemes = qm_node_add_sequence(result, "schemes");
    for (size_t i = 0; i < 10000; i++) {
        struct qm_node *scheme = qm_node_append_mapping(schemes);
        qm_node_set_textf(scheme, "name", "w8a8-%zu", i);
        qm_node_set_text(scheme, "status", i % 2 ? "wrong" : "ok");
        qm_node_set_text(scheme, "reason", "no reason");
        if (i % 2)
            continue;
        struct qm_node *kl = qm_node_add_mapping(qm_node_add_mapping(scheme, "accuracy"), "kl_divergence");
        qm_node_set_double(kl, "mean", 1e-3 + (double)i * 1e-6);
        struct qm_node *gain = qm_node_append_mapping(qm_node_add_sequence(scheme, "gain"));
        qm_node_set_text(gain, "phase", "decode");
        qm_node_set_u64(gain, "batch", 1);
        qm_node_set_double(gain, "ratio", 1 + (double)(i * 7919 % 10007) * 1e-4);
        struct qm_node *point = qm_node_append_mapping(qm_node_add_sequence(scheme, "throughput"));
        qm_node_set_text(point, "phase", "decode");
        qm_node_set_u64(point, "batch", 1);
        qm_node_set_double(point, "rate_tokens_per_s", 100 + (double)i);
        struct qm_node *sustained = qm_node_add_mapping(scheme, "sustained");
        qm_node_set_double(sustained, "rate", 100 + (double)i);
        struct qm_node *kernel = qm_node_append_mapping(qm_node_add_sequence(scheme, "kernels"));
        qm_node_set_textf(kernel, "name", "matmul-%zu", i);
        qm_node_set_double(kernel, "rate", 100);
        qm_node_set_double(kernel, "time_us", 100);
        qm_node_set_double(kernel, "intensity", 1 + (double)i);
        qm_node_set_double(kernel, "share", 0.5);
    }
    assert_true(qm_node_ok(result));
    double begin = seconds_now();
    struct qm_picture_set *set = set_of(&result, 1, NULL);
    for (int picture = 0; picture < QM_PICTURE_COUNT; picture++) {
        struct drawing *d = draw(set, (enum qm_picture)picture, 0, QM_PICTURE_WIDE);
        assert_true(d->marks > 0);
        assert_true(d->marks <= 1000);
        assert_true(tells(d, " more "));
        release(d);
    }
    qm_picture_set_destroy(&set);
    double taken = seconds_now() - begin;
    if (taken > 2)
        fail_msg("five pictures of 10,000 schemes took %.1f s", taken);
    qm_node_destroy(&result);
    // And of more results than are drawn.
    struct qm_node *one = stored_result("result-pocl.yaml"), *many[100];
    for (size_t i = 0; i < 100; i++)
        many[i] = one;
    set = set_of(many, 100, NULL);
    struct drawing *d = draw(set, QM_PICTURE_TRADE, 0, 0);
    assert_true(tells(d, "36 further results"));
    release(d);
    qm_picture_set_destroy(&set);
    qm_node_destroy(&one);
}

// ---- Samples ----------------------------------------------------------------------------------------------------------

#define FOLDER QM_BINARY_DIR "/test-pictures"

enum {
    SECONDS = 60,
    BLOCKS = SECONDS * 10
};

// A minute of blocks of 0.1 s that take a third longer from 30 s on, with readings each second.
static void write_samples(struct qm_node *result, const char *scheme, size_t bytes_off)
{
    static double begin[BLOCKS], wall[BLOCKS], at[SECONDS + 1], probe[SECONDS + 1];
    static double readings[(SECONDS + 1) * QM_READING_COUNT];
    struct {
        const char *what;
        const double *values;
        size_t count;
    } arrays[] = {{"at_ns", at, SECONDS + 1},
                  {"begin_ns", begin, BLOCKS},
                  {"probe_ns", probe, SECONDS + 1},
                  {"readings", readings, (SECONDS + 1) * QM_READING_COUNT},
                  {"wall_ns", wall, BLOCKS}};
    for (size_t i = 0; i < BLOCKS; i++) {
        begin[i] = (double)i * 1e8;
        wall[i] = (i < BLOCKS / 2 ? 0.06 : 0.08) * 1e9;
    }
    for (size_t i = 0; i <= SECONDS; i++) {
        at[i] = (double)i * 1e9;
        probe[i] = i < SECONDS / 2 ? 1e6 : 1.33e6;
        for (size_t k = 0; k < QM_READING_COUNT; k++)
            readings[i * QM_READING_COUNT + k] = NAN;
        readings[i * QM_READING_COUNT + QM_READING_CLOCK_MHZ] = i < SECONDS / 2 ? 1800 : 1350;
        readings[i * QM_READING_COUNT + QM_READING_TEMPERATURE_C] = 40 + (double)i / 2;
        readings[i * QM_READING_COUNT + QM_READING_THROTTLE] = i < SECONDS / 2 ? 0 : 4;
    }
    struct qm_tensor tensors[5] = {{0}};
    char names[5][96];
    void *bytes = NULL;
    size_t total = 0;
    for (size_t i = 0; i < 5; i++) {
        snprintf(names[i], sizeof(names[i]), "%s.sustained.%s.f64", scheme, arrays[i].what);
        tensors[i] = (struct qm_tensor){.name = names[i],
                                        .dtype = QM_DTYPE_U32,
                                        .rank = 1,
                                        .shape = {2 * arrays[i].count},
                                        .bytes = arrays[i].count * sizeof(double),
                                        .data = arrays[i].values};
    }
    assert_int_equal(qm_safetensors_encode("samples", tensors, 5, NULL, 0, &bytes, &total), QM_OK);
    char hash[QM_HASH_TEXT_BYTES];
    qm_hash_bytes(bytes, total, hash);
    struct qm_node *samples = qm_node_add_mapping(result, "samples");
    qm_node_set_text(samples, "file", "pictures.samples.safetensors");
    qm_node_set_text(samples, "sha256", hash);
    assert_int_equal(qm_file_write(FOLDER "/pictures.samples.safetensors", bytes, total - bytes_off), QM_OK);
    free(bytes);
}

static void test_samples(void **state)
{
    (void)state;
    assert_int_equal(qm_directory_make(FOLDER), QM_OK);
    struct qm_node *result = stored_result("result-sustained.yaml");
    write_samples(result, qm_node_text_at(result, "schemes.1.name", "?"), 0);
    struct qm_picture_set *set = set_of(&result, 1, FOLDER "/result.yaml");
    struct drawing *d = draw(set, QM_PICTURE_SUSTAINED, 0, 0);
    assert_true(tells(d, "Clock, MHz"));
    assert_true(tells(d, "Temperature"));
    assert_false(tells(d, "Power, W"));
    assert_true(tells(d, "Throttled"));
    assert_false(tells(d, "not drawn"));
    release(d);
    qm_picture_set_destroy(&set);
    // Cut off, they are not the ones that the result names.
    write_samples(result, qm_node_text_at(result, "schemes.1.name", "?"), 8);
    set = set_of(&result, 1, FOLDER "/result.yaml");
    d = draw(set, QM_PICTURE_SUSTAINED, 0, 0);
    assert_true(tells(d, "not the one that the result names"));
    assert_true(d->marks > 0); // burst and last third
    release(d);
    qm_picture_set_destroy(&set);
    // A name that leads elsewhere is not followed.
    qm_node_set_text(qm_node_child(result, "samples"), "file", "../test-pictures/pictures.samples.safetensors");
    set = set_of(&result, 1, FOLDER "/result.yaml");
    d = draw(set, QM_PICTURE_SUSTAINED, 0, 0);
    assert_true(tells(d, "samples absent"));
    release(d);
    qm_picture_set_destroy(&set);
    qm_node_destroy(&result);
}

// ---- Files ------------------------------------------------------------------------------------------------------------

static enum qm_status only(const struct qm_result_set *set, const char *path, const char *what)
{
    struct qm_report_only_params params = {0};
    struct qm_text told = {0};
    assert_true(qm_picture_read_name(what, &params.picture));
    enum qm_status status = qm_report_only(set, &params, path, &told);
    if (status == QM_OK)
        assert_non_null(strstr(qm_text_bytes(&told), path));
    qm_text_free(&told);
    return status;
}

static void test_files(void **state)
{
    (void)state;
    const char *path = QM_SOURCE_DIR "/test/data/result-sustained.yaml";
    struct qm_result_set set;
    unsigned char *png = NULL;
    void *bytes = NULL;
    size_t count = 0;
    assert_int_equal(qm_directory_make(FOLDER), QM_OK);
    assert_int_equal(qm_result_set_load(&path, 1, &set), QM_OK);
    pid_t child = fork(); // the library is looked for once in a process
    if (child == 0) {
        setenv("QM_RSVG", "none", 1);
        _exit(only(&set, FOLDER "/none.png", "trade") == QM_INVALID && strstr(qm_error_text(), "librsvg") ? 0 : 1);
    }
    int how = 1;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    assert_false(qm_file_exists(FOLDER "/none.png"));

    assert_int_equal(only(&set, FOLDER "/trade.svg", "trade"), QM_OK);
    assert_int_equal(only(&set, FOLDER "/trade.svg", "roofline"), QM_OK); // its own file
    assert_int_equal(only(&set, FOLDER "/trade.txt", "trade"), QM_INVALID);
    assert_int_equal(qm_file_write(FOLDER "/other.svg", "<svg>\n", 6), QM_OK);
    assert_int_equal(only(&set, FOLDER "/other.svg", "trade"), QM_INVALID); // somebody's
    enum qm_status status = only(&set, FOLDER "/trade.png", "trade");
    if (status == QM_INVALID && strstr(qm_error_text(), "librsvg")) {
        print_message("no librsvg here: PNG is not tested\n");
    } else {
        assert_int_equal(status, QM_OK);
        assert_int_equal(only(&set, FOLDER "/trade.png", "vendors"), QM_OK);
        assert_int_equal(qm_file_read(FOLDER "/trade.png", 10000000, &bytes, &count), QM_OK);
        png = bytes;
        assert_true(count > 10000);
        assert_memory_equal(png, "\x89PNG\r\n\x1a\n", 8);
        assert_int_equal((png[16] << 24) | (png[17] << 16) | (png[18] << 8) | png[19], 2 * QM_PICTURE_WIDE);
        assert_memory_equal(png + 37, "tEXtSoftware\0qmark ", 19);
        free(bytes);
    }
    qm_result_set_free(&set);
}

static void test_names(void **state)
{
    (void)state;
    enum qm_picture picture;
    struct qm_text out = {0};
    struct qm_picture_set *set = set_of(NULL, 0, NULL);
    for (int i = 0; i < QM_PICTURE_COUNT; i++) {
        assert_true(qm_picture_read_name(qm_picture_name((enum qm_picture)i), &picture));
        assert_int_equal(picture, i);
    }
    assert_false(qm_picture_read_name("pie", &picture));
    struct qm_picture_params params = {.width = 100};
    assert_int_equal(qm_picture_draw(set, QM_PICTURE_TRADE, 0, &params, &out), QM_INVALID);
    params.width = 0;
    assert_int_equal(qm_picture_draw(set, QM_PICTURE_TRADE, 1, &params, &out), QM_INVALID);
    qm_picture_set_destroy(&set);
    qm_text_free(&out);
    // Texts are cut between characters, and no wider than asked.
    char text[64] = "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc abcdefghij";
    qm_svg_fit(text, 12, 50);
    assert_true(qm_svg_text_width(text, 12) <= 50);
    assert_non_null(strstr(text, "\xe2\x80\xa6"));
}

// The luminance of "#rrggbb" after `before` in a style, as WCAG 2.1 defines it.
static double luminance_of(const char *style, const char *before)
{
    static const double weights[] = {0.2126, 0.7152, 0.0722};
    const char *at = strstr(style, before);
    double sum = 0;
    assert_non_null(at);
    unsigned long colour = strtoul(at + strlen(before) + 1, NULL, 16);
    for (int i = 0; i < 3; i++) {
        double part = (double)(colour >> (16 - 8 * i) & 255) / 255;
        sum += weights[i] * (part <= 0.04045 ? part / 12.92 : pow((part + 0.055) / 1.055, 2.4));
    }
    return sum;
}

// Every hue may colour text, in light and in dark: 4.5 : 1 to the ground.
static void test_contrast(void **state)
{
    (void)state;
    static const char *const texts[] = {".qp{fill:", ".qp-quiet{fill:", ".qp-bad{fill:"};
    static const enum qm_picture_colours colours[] = {QM_PICTURE_LIGHT, QM_PICTURE_DARK};
    for (size_t c = 0; c < 2; c++) {
        struct qm_text style = {0};
        qm_picture_style(colours[c], &style);
        double ground = luminance_of(style.bytes, ".qp-ground{fill:");
        for (size_t i = 0; i < QM_SVG_HUES + 3; i++) {
            char hue[16];
            snprintf(hue, sizeof(hue), ".qp-f%zu{fill:", i);
            double own = luminance_of(style.bytes, i < QM_SVG_HUES ? hue : texts[i - QM_SVG_HUES]);
            double contrast = (fmax(own, ground) + 0.05) / (fmin(own, ground) + 0.05);
            if (contrast < 4.5)
                fail_msg("%s has %.2f : 1", i < QM_SVG_HUES ? hue : texts[i - QM_SVG_HUES], contrast);
        }
        assert_null(strstr(style.bytes, "@media"));
        qm_text_free(&style);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),   cmocka_unit_test(test_usual),   cmocka_unit_test(test_empty_and_wrong),
        cmocka_unit_test(test_apart),   cmocka_unit_test(test_hostile), cmocka_unit_test(test_many_schemes),
        cmocka_unit_test(test_samples), cmocka_unit_test(test_names),   cmocka_unit_test(test_contrast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
