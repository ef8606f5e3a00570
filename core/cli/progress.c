#include "cli/progress.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/host.h"

#define TERMINAL_NS 100000000u // between two lines
#define JSON_NS 500000000u
#define PIPE_NS 20000000000u

static enum qm_progress_form form;

enum qm_status qm_progress_choose(const char *name)
{
    static const char *const names[] = {"text", "none", "json"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        if (strcmp(name, names[i]) == 0) {
            form = (enum qm_progress_form)i;
            return QM_OK;
        }
    }
    return QM_FAIL(QM_INVALID, "--progress '%.40s'; expected text, none or json", name);
}

bool qm_progress_is_text(void)
{
    return form == QM_PROGRESS_TEXT;
}

static void begin(struct qm_progress_line *line, const char *title, double expected_s)
{
    *line = (struct qm_progress_line){.title = title,
                                      .is_terminal = qm_terminal_can_move(2),
                                      .began_ns = qm_clock_ns(),
                                      .shown_tenth = -1,
                                      .expected_s = expected_s};
    if (!line->is_terminal && form == QM_PROGRESS_TEXT) {
        if (expected_s > 0)
            fprintf(stderr, "%s: about %.0f s, as last time\n", title, expected_s);
        else
            fprintf(stderr, "%s\n", title);
    }
}

void qm_progress_begin(struct qm_progress_line *line, const char *title, double expected_s)
{
    begin(line, title, expected_s);
    line->own = (struct qm_live_line){.id = title, .name = "", .state = QM_LIVE_RUNS, .seconds_left = -1};
    line->view = (struct qm_live_view){.lines = &line->own, .count = 1};
}

void qm_progress_begin_among(struct qm_progress_line *line, const char *title, double expected_s,
                             struct qm_live_line *lines, size_t count, size_t index)
{
    begin(line, title, expected_s);
    line->view = (struct qm_live_view){.lines = lines, .count = count};
    line->index = index;
    lines[index].state = QM_LIVE_RUNS;
    lines[index].seconds_left = expected_s > 0 ? expected_s : -1;
}

// Below 0 where nothing is known.
static double seconds_left(const struct qm_progress_line *line, double elapsed_s, double fraction)
{
    if (fraction > 0.02 && elapsed_s > 1)
        return elapsed_s * (1 - fraction) / fraction;
    return line->expected_s > elapsed_s ? line->expected_s - elapsed_s : -1;
}

static void show_json(const struct qm_progress_line *line, const char *what, double fraction, double left_s)
{
    json_t *object = json_pack("{s:s?, s:s, s:f, s:o, s:s}", "device", line->device, "stage", line->stage, "fraction",
                               fraction, "seconds_left", left_s >= 0 ? json_real(left_s) : json_null(), "text", what);
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    if (text)
        fprintf(stderr, "%s\n", text);
    free(text);
    json_decref(object);
}

void qm_progress_show(void *context, const char *what, double fraction)
{
    struct qm_progress_line *line = context;
    uint64_t now_ns = qm_clock_ns(), since_ns = now_ns - line->shown_ns;
    double left_s = seconds_left(line, (double)(now_ns - line->began_ns) * 1e-9, fraction);
    char stage[sizeof(line->stage)], left[48] = "";
    fraction = fraction < 1 ? fraction : 1;
    snprintf(stage, sizeof(stage), "%.*s", (int)strcspn(what, ","), what);
    bool is_new = strcmp(stage, line->stage) != 0;
    if (left_s >= 0)
        snprintf(left, sizeof(left), ", about %.0f s left", left_s);
    bool is_due = false;
    if (form == QM_PROGRESS_JSON)
        is_due = is_new || since_ns > JSON_NS;
    else if (form == QM_PROGRESS_TEXT)
        is_due =
            line->is_terminal ? since_ns >= TERMINAL_NS : (int)(fraction * 4) > line->shown_tenth || since_ns > PIPE_NS;
    if (!is_due)
        return;
    line->shown_ns = now_ns;
    line->shown_tenth = (int)(fraction * 4);
    memcpy(line->stage, stage, sizeof(stage));
    if (form == QM_PROGRESS_JSON) {
        show_json(line, what, fraction, left_s);
    } else if (line->is_terminal) {
        struct qm_live_line *own = &line->view.lines[line->index];
        snprintf(own->text, sizeof(own->text), "%s", what);
        own->fraction = fraction;
        own->seconds_left = left_s;
        own->live = line->live;
        qm_live_view_draw(&line->view);
    } else {
        fprintf(stderr, "  %3.0f %%  %s%s\n", fraction * 100, what, left);
    }
}

double qm_progress_end(struct qm_progress_line *line)
{
    qm_live_view_clear(&line->view);
    return (double)(qm_clock_ns() - line->began_ns) * 1e-9;
}
