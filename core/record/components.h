// The components of a quantization trade: what must be told before a speed is worth anything in a deployment.
//
// One table for everybody: a claim has one entry per component (docs/CLAIM_FORMAT.md), `qmark claim` fills them from a
// result, `qmark audit` judges them, and comparing two results names the component that a difference belongs to. A key
// that is added to the table is asked for everywhere.
#ifndef QM_RECORD_COMPONENTS_H
#define QM_RECORD_COMPONENTS_H

#include <stdbool.h>
#include <stddef.h>

struct qm_node;

enum qm_component_id {
    QM_COMPONENT_PRECISION = 0,
    QM_COMPONENT_TENSORS,
    QM_COMPONENT_CALIBRATION_SET,
    QM_COMPONENT_CALIBRATION_METHOD,
    QM_COMPONENT_ACCURACY,
    QM_COMPONENT_THROUGHPUT_GAIN,
    QM_COMPONENT_SUSTAINED,
    QM_COMPONENT_TOOL_CHAIN,
    QM_COMPONENT_ACCEPTANCE,
    QM_COMPONENT_COUNT,
};

// What a difference between two results means; compare.h has the words.
enum qm_difference_class {
    QM_DIFFERENCE_IGNORED = 0,
    QM_DIFFERENCE_SUBJECT,
    QM_DIFFERENCE_NOTE,
    QM_DIFFERENCE_FATAL,
};

enum {
    QM_KEY_FULL = 1,  // needed for `disclosed`; without it the component is `partly` disclosed
    QM_KEY_GRADE = 2, // needed for a deployment-grade claim
    QM_KEY_NONE = 4,  // `none` is an answer: there is no such thing in this model or method
};

struct qm_component_key {
    const char *path;    // below the component: "weights.format"; "a|b": one of them will do
    const char *title;   // "format of weights"
    int flags;           // QM_KEY_*; 0: it tells something, and is asked for nowhere
    const char *follows; // what follows where it is not told
};

#define QM_COMPONENT_KEYS_MAX 12

struct qm_component {
    const char *name;         // its key in a claim: "calibration_set"
    const char *title;        // "calibration set"
    const char *text_key;     // the key that a text in place of the whole component stands for
    bool none_is_answer;      // `none` in place of the whole is a full answer
    const char *follows;      // what follows where nothing is told
    const char *in_result[4]; // where a result has it, below a scheme; ends with NULL
    // How a difference in it is judged where no rule of compare_rules.c is nearer, and why.
    enum qm_difference_class difference;
    const char *why_differs;
    struct qm_component_key keys[QM_COMPONENT_KEYS_MAX + 1]; // ends with a NULL path
};

extern const struct qm_component qm_components[QM_COMPONENT_COUNT]; // in the order of enum qm_component_id

// What a model's files should say of themselves beside the components, under `subject` of a claim (model/disclosure.h). Asked
// for where a claim is one of files.
extern const struct qm_component qm_component_file;

// The component that a path of a comparison, "schemes[w8a8].disclosure.precision.weights.bits", belongs to; NULL if it
// belongs to none.
const struct qm_component *qm_component_of_path(const char *path);

// Whether a text tells nothing: "", "undisclosed", "not measured", "unknown", "n/a", "proprietary", ... in any case of
// letters. NULL tells nothing.
bool qm_component_is_silent(const char *text);

// Whether `component` (the value of its key in a claim; may be NULL) tells this key. A mapping or a list that is empty
// tells nothing; a text where a mapping could be tells the component's text_key, or `format` of a tensor.
bool qm_component_tells(const struct qm_component *component, const struct qm_component_key *key,
                        const struct qm_node *value);

#endif
