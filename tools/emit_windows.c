// emit_windows: writes windows of the built-in tasks as binary, for training and for scripts.
//
//   emit_windows SPLIT SEED FIRST COUNT LENGTH > file      SPLIT: train, calibration, evaluation; SEED: number or
//                                                          "default"; FIRST: index of the first window
//   emit_windows --vocabulary                              one token text per line, in the order of ids
//   emit_windows --examples SPLIT SEED FIRST COUNT LENGTH  one line per example: window task difficulty first count
//   emit_windows --entropy                                 entropy of the source in nats per symbol
//
// Per window: LENGTH + 1 tokens as little-endian uint16, then LENGTH bytes that are 1 where the next token is scored.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tasks.h"

static int usage(void)
{
    fputs("usage: emit_windows [--examples] train|calibration|evaluation SEED|default FIRST COUNT LENGTH\n"
          "       emit_windows --vocabulary | --entropy\n",
          stderr);
    return 2;
}

static int read_number(const char *text, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtoull(text, &end, 0);
    return errno == 0 && end != text && *end == '\0' && text[0] != '-';
}

static void write_window(const struct qm_window *window)
{
    unsigned char bytes[3 * QM_WINDOW_LENGTH_MAX + 2];
    size_t used = 0;
    for (uint32_t i = 0; i < window->length + 1; i++) {
        bytes[used++] = (unsigned char)(window->tokens[i] & 255U);
        bytes[used++] = (unsigned char)(window->tokens[i] >> 8);
    }
    memcpy(bytes + used, window->scored, window->length);
    fwrite(bytes, 1, used + window->length, stdout);
}

static void print_examples(const struct qm_window *window, uint64_t index)
{
    for (uint32_t i = 0; i < window->example_count; i++) {
        const struct qm_example *example = &window->examples[i];
        printf("%llu\t%s\t%s\t%u\t%u\n", (unsigned long long)index, qm_task_name(example->task),
               qm_task_difficulty_name(example->task, example->difficulty), (unsigned)example->first,
               (unsigned)example->count);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--vocabulary") == 0) {
        for (uint32_t id = 0; id < QM_VOCABULARY_SIZE; id++) {
            puts(qm_token_text(id));
        }
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--entropy") == 0) {
        printf("%.17g\n", qm_source_entropy_nats());
        return 0;
    }
    const int examples = argc > 1 && strcmp(argv[1], "--examples") == 0;
    argv += examples;
    argc -= examples;
    if (argc != 6) {
        return usage();
    }
    enum qm_split split;
    if (strcmp(argv[1], "train") == 0) {
        split = QM_SPLIT_TRAIN;
    } else if (strcmp(argv[1], "calibration") == 0) {
        split = QM_SPLIT_CALIBRATION;
    } else if (strcmp(argv[1], "evaluation") == 0) {
        split = QM_SPLIT_EVALUATION;
    } else {
        return usage();
    }
    uint64_t seed = qm_split_seed(split), first, count, length;
    if ((strcmp(argv[2], "default") != 0 && !read_number(argv[2], &seed)) || !read_number(argv[3], &first) ||
        !read_number(argv[4], &count) || !read_number(argv[5], &length) || length < QM_WINDOW_LENGTH_MIN ||
        length > QM_WINDOW_LENGTH_MAX) {
        return usage();
    }
    struct qm_window window;
    for (uint64_t i = 0; i < count && !ferror(stdout); i++) {
        qm_window_generate(split, seed, first + i, (uint32_t)length, &window);
        if (examples) {
            print_examples(&window, first + i);
        } else {
            write_window(&window);
        }
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
