// bench_tokenizer: how fast a tokenizer encodes a text, on one core.
//
//   bench_tokenizer TOKENIZER.json TEXT [SECONDS]      TEXT is encoded again and again, whole and by lines
//
// Prints megabytes (10^6 bytes) a second, tokens, bytes a token, and what loading took.
#include "sys/file.h"
#include "sys/host.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum qm_status encode_lines(struct qm_tokenizer *tokenizer, const char *text, size_t count,
                                   struct qm_tokens *out)
{
    for (size_t begin = 0; begin < count;) {
        const char *newline = memchr(text + begin, '\n', count - begin);
        size_t end = newline ? (size_t)(newline - text) + 1 : count;
        QM_TRY(qm_tokenizer_encode(tokenizer, text + begin, end - begin, NULL, out));
        begin = end;
    }
    return QM_OK;
}

static enum qm_status measure(struct qm_tokenizer *tokenizer, const char *text, size_t count, double seconds,
                              int by_lines)
{
    uint64_t begin = qm_clock_ns();
    double elapsed = 0;
    size_t runs = 0, tokens = 0;
    do {
        struct qm_tokens out = {0};
        enum qm_status status = by_lines ? encode_lines(tokenizer, text, count, &out)
                                         : qm_tokenizer_encode(tokenizer, text, count, NULL, &out);
        tokens = out.count;
        qm_tokens_free(&out);
        QM_TRY(status);
        runs++;
        elapsed = (double)(qm_clock_ns() - begin) * 1e-9;
    } while (elapsed < seconds);
    printf("%s: %.1f MB/s, %zu tokens, %.2f bytes a token\n", by_lines ? "by lines" : "whole",
           (double)count * (double)runs / elapsed * 1e-6, tokens, tokens ? (double)count / (double)tokens : 0);
    return QM_OK;
}

int main(int argc, char **argv)
{
    struct qm_tokenizer *tokenizer = NULL;
    void *text = NULL;
    size_t count = 0;
    enum qm_status status = QM_OK;
    if (argc < 3) {
        fputs("usage: bench_tokenizer TOKENIZER.json TEXT [SECONDS]\n", stderr);
        return 2;
    }
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 2;
    uint64_t begin = qm_clock_ns();
    QM_GUARD(qm_tokenizer_load(argv[1], &tokenizer));
    printf("loaded in %.0f ms: %zu ids\n", (double)(qm_clock_ns() - begin) * 1e-6, qm_tokenizer_size(tokenizer));
    QM_GUARD(qm_file_read(argv[2], QM_TEXT_BYTES_MAX, &text, &count));
    QM_GUARD(measure(tokenizer, text, count, seconds, 0));
    QM_GUARD(measure(tokenizer, text, count, seconds, 1));
done:
    if (status != QM_OK)
        fprintf(stderr, "%s\n", qm_error_text());
    free(text);
    qm_tokenizer_destroy(&tokenizer);
    return status == QM_OK ? 0 : 2;
}
