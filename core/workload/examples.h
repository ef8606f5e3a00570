// A user's examples: what is asked, what would be right and by which rule, from a file of JSON lines or CSV, or from a directory of
// such files (source.h).
//
// *JSON lines.* One JSON object a line; blank lines are passed over. A list of such objects over many lines, as older versions of
// the harness write, is read as well. Two forms are read, and may stand in one file. Ours:
//
//   {"prompt": "2 + 2 =", "answer": "4", "match": "numeric", "stop": ["\n"], "max_tokens": 16, "id": "sum-1"}
//
//   prompt      text, not empty
//   answer      text or number; for choices the index of the right one, from 0, or its text
//   answers     instead of answer: list of texts and numbers, one of which must agree
//   match       exact | normalised | numeric | regex | choice (answers.h). Else: choice where there are choices, regex
//               where there is a pattern, else what the caller says
//   choices     list of 2 to 64 texts, each put behind the prompt as it stands
//   pattern     regular expression; tolerance: number, 0 or more, of numeric
//   stop        text or list of texts; max_tokens: the most that is generated
//   id          text or whole number; the number of the line where there is none
//
// And the lines that lm-evaluation-harness writes with --log_samples (lm_eval/loggers/evaluation_tracker.py of
// EleutherAI/lm-evaluation-harness), which have `arguments`: a list of requests [context, ...], or the mapping
// {"gen_args_0": {"arg_0": context, "arg_1": ...}, ...} that newer versions write.
//
//   arguments   [context, {"until": [...], "max_gen_toks": n, "do_sample": ...}], once: an example with stop strings.
//               [context, continuation], twice or more: choices, each with its context. One of them: refused, because a
//               likelihood alone has no wrong answer. A second half with the same continuations and empty contexts, which
//               acc_mutual_info asks for, is left out; other empty contexts: refused
//   target      the answer, or a list of answers (also as Python writes one in a text); for choices an index, or the text of one.
//               Where it is both or neither, or stands for several: the choice that the line's own likelihoods and `acc` name
//               (the likeliest where acc is 1, of two the other one where it is 0), else refused; a key `answer` that is put
//               into the line goes before it
//   doc_id      the id. A task with several filters has a line for each: lines after the first of an id are passed over
//               and counted
// Keys of our own form (match, pattern, tolerance, answer, answers, stop, max_tokens) may stand in such lines as well.
//
// *CSV* (csv.h), as MMLU comes: records of a question, 2 to 26 choices and the letter of the right one,
//
//   "What is 2 + 2?",3,4,5,6,B
//
// without a heading, or with one that names the columns question, A, B, ... and answer (and perhaps subject), in any order. The
// model is asked as hendrycks/test asks (evaluate.py): "The following are multiple choice questions (with answers) about SUBJECT.",
// an empty line, the question, a line "A. ..." for each choice, and "Answer:"; its choices are " A", " B", ... The subject is the
// column's, or the file's name before _test, _val or _dev with blanks for '_'; without one " about SUBJECT" is left out. With a
// dev/ beside the test/ that holds the file, the first five questions there stand before it, each with its answer.
//
// Where a directory holds several files, ids begin with the file's name: "abstract_algebra_test/12".
//
// Other keys are passed over, but for one that looks like a slip ("promt"). Numbers stand for their text as it is written
// in JSON's shortest form.
#ifndef QM_WORKLOAD_EXAMPLES_H
#define QM_WORKLOAD_EXAMPLES_H

#include "base/hash.h"
#include "workload/answers.h"

#define QM_EXAMPLES_BYTES_MAX ((size_t)256 << 20) // of a file
#define QM_EXAMPLES_LINE_MAX ((size_t)4 << 20)    // of a line
enum {
    QM_EXAMPLES_MAX = 1 << 20,
    QM_EXAMPLES_DEPTH_MAX = 64, // of nested lists and mappings
    QM_EXAMPLE_ANSWERS_MAX = 256,
    QM_EXAMPLE_CHOICES_MIN = 2,
    QM_EXAMPLE_CHOICES_MAX = 64,
    QM_EXAMPLE_STOPS_MAX = 16,
    QM_EXAMPLE_STOP_BYTES_MAX = 256,
    QM_EXAMPLE_TOKENS_MAX = 1 << 16, // generated
    QM_EXAMPLES_PATTERNS_MAX = 1000, // different ones in a file
};

struct qm_user_choice {
    const char *prompt; // in front of it; that of the example, but where a line of the harness has one for each
    const char *text;
};

struct qm_user_example {
    const char *id;
    const char *file; // for messages
    size_t line;      // from 1
    const char *prompt;
    const char **answers; // none where there are choices
    uint32_t answer_count;
    const struct qm_user_choice *choices;
    uint32_t choice_count, right_choice;
    const char **stops;
    uint32_t stop_count, max_tokens;
    struct qm_answer_rule rule;
    bool asks_sampling; // the harness's line does; generation here is greedy
};

struct qm_examples_params {
    enum qm_match match;  // where a line says nothing; not choice
    const char *pattern;  // of regex where a line has none; NULL: none
    double tolerance;     // of numeric where a line has none
    uint32_t max_tokens;  // where a line says nothing; 1 at least
    size_t examples_most; // 0: all
};
#define QM_EXAMPLES_DEFAULT ((struct qm_examples_params){.match = QM_MATCH_EXACT, .max_tokens = 256})

enum qm_examples_form {
    QM_EXAMPLES_LINES,   // ours, or of both forms
    QM_EXAMPLES_HARNESS, // every line has `arguments`
    QM_EXAMPLES_CSV,
};

struct qm_user_examples {
    const char *file; // or the directory
    struct qm_user_example *examples;
    uint32_t count;
    uint32_t matches[QM_MATCH_COUNT]; // examples by rule
    uint32_t sampling;                // examples whose line asks for sampling
    uint32_t repeated;                // lines passed over because their id was there
    uint32_t files;
    uint32_t shots;   // answered questions before each one of a CSV file, the most
    uint32_t harness; // lines of the harness among those that were taken
    enum qm_examples_form form;
    size_t bytes;                         // of the files
    char file_sha256[QM_HASH_TEXT_BYTES]; // as of qm_source_hash
    char sha256[QM_HASH_TEXT_BYTES];      // of what was read: see qm_user_examples_hash
    struct qm_examples_room *room;        // what the texts lie in
};

// A file or a directory. *out is NULL on failure: QM_INVALID with "file:line: what is wrong; what would be right", QM_OUT_OF_MEMORY.
QM_MUST_USE enum qm_status qm_user_examples_load(const char *path, const struct qm_examples_params *params,
                                                 struct qm_user_examples **out);
// The same of one file from memory; by its name it is CSV or lines.
QM_MUST_USE enum qm_status qm_user_examples_parse(const void *bytes, size_t count, const char *name,
                                                  const struct qm_examples_params *params,
                                                  struct qm_user_examples **out);
// NULL is allowed; sets *examples to NULL.
void qm_user_examples_destroy(struct qm_user_examples **examples);

// SHA-256 over what decides about the result: of each example in order, as texts with their terminating zeros, rule and
// its pattern and tolerance, prompt, answers, choices with prompts and the right one, stop strings, max_tokens. The same
// for both forms of file, and whatever else stands in a line. Ids are not in it.
void qm_user_examples_hash(const struct qm_user_examples *examples, char text[QM_HASH_TEXT_BYTES]);

#endif
