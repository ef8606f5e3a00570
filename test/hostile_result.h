// Results that a stranger made to do harm: script and escapes in every text, numbers at the end of what a double holds,
// thousands of schemes. For tests.
#ifndef QM_TEST_HOSTILE_RESULT_H
#define QM_TEST_HOSTILE_RESULT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record/node.h"
#include "record/result.h"

// Each of them names an element <hostile> or calls hostile(): a page that has either has been taken in.
static const char *const hostile_texts[] = {
    "<script>hostile()</script>",
    "\"><img src=x onerror=hostile()><hostile>",
    "</title></style></script></svg><script>hostile()</script><hostile>",
    "' onmouseover='hostile()' style='position:fixed;inset:0",
    "javascript:hostile()",
    "<svg onload=hostile()><hostile></svg>",
    "]]><!--<hostile>--><![CDATA[<hostile>",
    "&lt;hostile&gt; &#60;hostile&#62; &amp;",
    "\x1b[31m\x1b]0;owned\x07 red \x1b[2J",
    "\u202egnp.exe\u202c \u2066right to left\u2069 \u200f",
    "one line\nWRONG: a second\r\nverdict: pass\n\n# and more",
    "=HYPERLINK(\"http://example.invalid\",\"here\") | `x` [a](http://example.invalid) **b**",
    "http://example.invalid/?q=<hostile>",
    "{{hostile()}} ${hostile()} %s%n%n%s",
    "\xf0\x9f\x92\xa9 \xe4\xb8\xad\xe6\x96\x87 Z\xcc\x81\xcc\x82\xcc\x83\xcc\x84\xcc\x85\xcc\x86\xcc\x87\xcc\x88 "
    "\xef\xb7\xbd",
    "; rm -rf / #' \" $(hostile) `hostile` \\",
};
#define HOSTILE_TEXTS (sizeof(hostile_texts) / sizeof(hostile_texts[0]))

static inline void hostile_set(struct qm_node *result, struct qm_node *holder, const char *key, size_t *which)
{
    struct qm_node *child = qm_node_child(holder, key), *before = qm_node_copy(child);
    if (qm_node_is_number(child)) {
        if (strcmp(key, "schema") == 0 || *which % 3 > 0)
            qm_node_destroy(&before);
        else
            qm_node_set_double(holder, key, *which % 2 ? 1e308 : 1.7976931348623157e308);
    } else if (!qm_node_is_bool(child)) {
        qm_node_set_textf(holder, key, "%s %zu", hostile_texts[*which % HOSTILE_TEXTS], *which);
    }
    ++*which;
    if (!before)
        return;
    if (qm_result_check(result) == QM_OK)
        qm_node_destroy(&before);
    else
        qm_node_set_node(holder, key, before); // the format asks for one word of several, a hash or a smaller number
}

static inline void hostile_below(struct qm_node *result, struct qm_node *node, size_t *which)
{
    for (size_t i = 0; i < qm_node_count(node); i++) {
        struct qm_node *child = qm_node_at(node, i);
        const char *key = qm_node_is_mapping(node) ? qm_node_key_at(node, i) : NULL;
        if (!qm_node_is_text(child)) {
            hostile_below(result, child, which);
        } else if (key) {
            char *kept = strdup(key); // the node that has it is about to go
            hostile_set(result, node, kept, which);
            free(kept);
        }
    }
}

// Makes every text of a result hostile that the format leaves free, and every third number as large as it lets it be.
// Returns how many values it tried. The hash is no longer that of the content.
static inline size_t hostile_make(struct qm_node *result)
{
    size_t which = 0;
    hostile_below(result, result, &which);
    return which;
}

// Appends rows that failed, each with a name and a reason of its own and nothing disclosed.
static inline void hostile_add_schemes(struct qm_node *result, size_t count)
{
    static const char *const components[] = {"precision",          "tensors",        "calibration_set",
                                             "calibration_method", "evaluation_set", "tool_chain"};
    struct qm_node *schemes = qm_node_child(result, "schemes");
    for (size_t i = 0; i < count; i++) {
        struct qm_node *row = qm_node_append_mapping(schemes);
        qm_node_set_textf(row, "name", "<b>s%zu", i);
        qm_node_set_textf(row, "identity", "%064zu", i);
        qm_node_set_text(row, "status", i % 2 ? "failed" : "wrong");
        qm_node_set_textf(row, "reason", "%.20s", hostile_texts[i % HOSTILE_TEXTS]);
        qm_node_set_text(row, "artifact", "absent");
        struct qm_node *disclosure = qm_node_add_mapping(row, "disclosure");
        for (size_t k = 0; k < sizeof(components) / sizeof(components[0]); k++)
            qm_node_set_text(disclosure, components[k], "undisclosed");
    }
}

// A result of which nothing is ok, as a driver with wrong kernels gives it.
static inline void hostile_all_wrong(struct qm_node *result)
{
    static const char *const gone[] = {"throughput",      "gain",     "sustained", "deployment", "kernels",
                                       "latency_bounded", "widening", "accuracy",  "memory"};
    struct qm_node *schemes = qm_node_child(result, "schemes");
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        struct qm_node *row = qm_node_at(schemes, i);
        for (size_t k = 0; k < sizeof(gone) / sizeof(gone[0]); k++)
            qm_node_remove(row, gone[k]);
        qm_node_set_text(row, "status", "wrong");
        qm_node_set_text(row, "reason", "matvec-w8-a8, rows 1, n 256, k 768: 17 where the oracle has 18, at column 9");
    }
}

#endif
