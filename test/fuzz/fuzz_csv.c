// libFuzzer target: any bytes are read as questions in CSV. What is accepted keeps its limits and means the same when it is read
// again; a record that the reader takes apart gives the same fields when it is written with quotes and read once more. What
// follows the first zero byte is read as the questions that stand before each.
//
//   tools/fuzz.sh 60 csv
#include "workload/csv.h"
#include "workload/examples.h"
#include "workload/examples_internal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void require_message(void)
{
    require((strncmp(qm_error_text(), "q_test.csv:", 11) == 0 || strncmp(qm_error_text(), "q_dev.csv:", 10) == 0) &&
            !strchr(qm_error_text(), '\n'));
}

// The latest record, every field in quotes; the caller frees it.
static char *quoted(const struct qm_csv *csv, size_t *count)
{
    size_t bytes = 1, used = 0;
    for (size_t i = 0; i < csv->count; i++)
        bytes += 2 * strlen(csv->fields[i]) + 3;
    char *out = malloc(bytes);
    require(out != NULL);
    for (size_t i = 0; i < csv->count; i++) {
        out[used++] = '"';
        for (const char *c = csv->fields[i]; *c; c++) {
            out[used++] = *c;
            if (*c == '"')
                out[used++] = '"';
        }
        out[used++] = '"';
        out[used++] = i + 1 < csv->count ? ',' : '\n';
    }
    *count = used;
    return out;
}

static void check_again(const struct qm_csv *csv)
{
    struct qm_csv again;
    size_t count = 0;
    char *text = quoted(csv, &count);
    require(qm_csv_begin("again", text, count, &again) == QM_OK);
    require(qm_csv_next(&again) == QM_OK && again.count == csv->count);
    for (size_t i = 0; i < csv->count; i++)
        require(strcmp(again.fields[i], csv->fields[i]) == 0);
    require(qm_csv_next(&again) == QM_OK && again.count == 0);
    qm_csv_end(&again);
    free(text);
}

static void check_records(const uint8_t *bytes, size_t count)
{
    struct qm_csv csv;
    size_t record = 0;
    enum qm_status status = qm_csv_begin("q_test.csv", bytes, count, &csv);
    while (status == QM_OK) {
        status = qm_csv_next(&csv);
        if (status != QM_OK || csv.count == 0)
            break;
        require(csv.record > record && csv.count <= QM_CSV_FIELDS_MAX);
        record = csv.record;
        check_again(&csv);
    }
    if (status != QM_OK)
        require_message();
    qm_csv_end(&csv);
}

static void check_examples(const struct qm_user_examples *examples)
{
    for (uint32_t i = 0; i < examples->count; i++) {
        const struct qm_user_example *example = &examples->examples[i];
        require(*example->prompt && example->rule.match == QM_MATCH_CHOICE && example->answer_count == 0);
        require(example->choice_count >= 2 && example->choice_count <= 26);
        require(example->right_choice < example->choice_count);
        require(i == 0 || example->line > examples->examples[i - 1].line);
    }
}

static void check_shots(const uint8_t *bytes, size_t count, const uint8_t *shots, size_t shots_count)
{
    struct qm_user_examples examples = {0};
    struct qm_examples_room *room = calloc(1, sizeof(*room));
    struct qm_user_examples *owner = calloc(1, sizeof(*owner));
    require(room && owner);
    const struct qm_examples_params params = QM_EXAMPLES_DEFAULT;
    const struct qm_lines lines = qm_lines_begin("q_test.csv", bytes, count, QM_EXAMPLES_LINE_MAX);
    const struct qm_examples_line line = {&lines, room, &params, "q_test.csv", "q"};
    const struct qm_examples_csv csv = {"q_test.csv", bytes, count, "q_dev.csv", shots, shots_count};
    if (qm_examples_read_csv(&line, &csv, &examples) == QM_OK) {
        require(examples.shots >= 1 && examples.shots <= 5);
        check_examples(&examples);
    } else {
        require_message();
    }
    *owner = examples;
    owner->room = room;
    qm_user_examples_destroy(&owner);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    const struct qm_examples_params params = QM_EXAMPLES_DEFAULT;
    struct qm_user_examples *examples = NULL, *again = NULL;
    const uint8_t *zero = memchr(bytes, 0, count);
    size_t length = zero ? (size_t)(zero - bytes) : count;
    check_records(bytes, length);
    if (zero)
        check_shots(bytes, length, zero + 1, count - length - 1);
    if (qm_user_examples_parse(bytes, length, "q_test.csv", &params, &examples) != QM_OK) {
        require_message();
        return 0;
    }
    check_examples(examples);
    require(qm_user_examples_parse(bytes, length, "q_test.csv", &params, &again) == QM_OK);
    require(strcmp(again->sha256, examples->sha256) == 0 && again->count == examples->count);
    qm_user_examples_destroy(&examples);
    qm_user_examples_destroy(&again);
    return 0;
}
