// Fuzz target: any bytes are added to a history in memory. What is accepted is a result, is there once, is listed with
// accuracy or the words for it beside every speed, and nothing of it steers a terminal; the database stays sound.
//
// Built by the CMake preset `fuzz`: build-fuzz/fuzz_history -max_len=65536 CORPUS test/fuzz/corpus/history test/data
#include "record/history.h"
#include "record/node.h"
#include "record/result.h"
#include "report/history.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void expect_clean(const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        require((c >= 0x20 && c != 0x7f) || c == '\n');
        require(!(c == 0xc2 && (unsigned char)text[1] < 0xa0 && (unsigned char)text[1] >= 0x80));
    }
}

static void print(const struct qm_node *tree, bool is_trend)
{
    char *text = NULL;
    size_t size = 0;
    const struct qm_show_style style = {.columns = 80};
    FILE *file = open_memstream(&text, &size);
    require(file != NULL);
    require((is_trend ? qm_history_trend_write(tree, &style, true, file) : qm_history_list_write(tree, &style, file)) ==
            QM_OK);
    fclose(file);
    expect_clean(text);
    free(text);
    require(qm_node_write_json(tree, &text) == QM_OK);
    expect_clean(text);
    free(text);
}

static void ask(struct qm_history *history, const struct qm_node *result)
{
    struct qm_node *tree = NULL;
    struct qm_history_runs runs;
    struct qm_history_query query = {.limit = 3};
    require(qm_history_list(history, &query, &tree) == QM_OK);
    require(qm_node_count(qm_node_child(tree, "results")) == 1);
    const struct qm_node *schemes = qm_node_get(tree, "results.0.schemes");
    require(qm_node_count(schemes) == qm_node_count(qm_node_child(result, "schemes")));
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *accuracy = qm_node_child(qm_node_at(schemes, i), "accuracy");
        require(qm_node_is_mapping(accuracy) || strcmp(qm_node_text(accuracy), "not measured") == 0);
    }
    print(tree, false);
    qm_node_destroy(&tree);
    static const char *const phases[] = {"prefill", "decode"};
    for (size_t i = 0; i < 2; i++) {
        query.scheme = qm_node_text_at(result, "schemes.0.name", "w8a8");
        query.phase = phases[i];
        query.batch = 1;
        require(qm_history_trend(history, &query, &tree) == QM_OK);
        print(tree, true);
        qm_node_destroy(&tree);
    }
    require(qm_history_baseline(history, result, 3, "same", &runs) == QM_OK && runs.count == 0);
    qm_history_runs_free(&runs);
    require(qm_history_newest(history, &(struct qm_history_query){0}, &runs) == QM_OK && runs.count == 1);
    qm_history_runs_free(&runs);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct qm_history *history = NULL;
    struct qm_node *result = NULL;
    bool is_new = false;
    require(qm_history_open(":memory:", true, &history) == QM_OK);
    enum qm_status status = qm_history_add(history, bytes, count, "f", &is_new);
    require(is_new == (status == QM_OK));
    if (status == QM_OK) {
        require(qm_node_parse(bytes, count, "f", &qm_node_result_limits, &result) == QM_OK);
        require(qm_history_add(history, bytes, count, "again", &is_new) == QM_OK && !is_new);
        ask(history, result);
        qm_node_destroy(&result);
    } else {
        require(strncmp(qm_error_text(), "f:", 2) == 0);
    }
    qm_history_close(&history);
    return 0;
}
