// The style of all pictures. Every text has 4.5 : 1 to the ground, every hue as well, so that it may colour text.
#include "report/pictures.h"
#include "report/svg.h"

struct colours {
    const char *ground, *ink, *quiet, *grid, *axis, *bound;
    const char *hues[QM_SVG_HUES];
};

static const struct colours light = {
    "#ffffff",
    "#1b1f24",
    "#56606b",
    "#e4e7eb",
    "#8a939d",
    "#b3261e",
    {"#1f5fbf", "#b04a00", "#177245", "#7a3fb5", "#b0215a", "#0b6f85", "#6a6500", "#4c5661"}};
static const struct colours dark = {
    "#14171c",
    "#e9ecef",
    "#a7b0ba",
    "#2c323a",
    "#737d88",
    "#ff9a92",
    {"#7db4ff", "#ffa763", "#62d394", "#c9a0ff", "#ff8fb0", "#5fd0e3", "#d6d264", "#b6bfc9"}};

static void colour_rules(const struct colours *colours, struct qm_text *out)
{
    qm_text_append(out, ".qp{fill:%s}.qp-ground{fill:%s}.qp-tick,.qp-cap,.qp-sub,.qp-quiet{fill:%s}", colours->ink,
                   colours->ground, colours->quiet);
    qm_text_append(out, ".qp-grid{stroke:%s}.qp-axis,.qp-lead{stroke:%s}.qp-bound{stroke:%s}.qp-bad{fill:%s}",
                   colours->grid, colours->axis, colours->bound, colours->bound);
    qm_text_append(out, ".qp-strip{fill:%s}.qp-halo{stroke:%s}.qp-edge{stroke:%s}.qp-weave{stroke:%s}.qp-open{fill:%s}",
                   colours->grid, colours->ground, colours->ground, colours->ground, colours->ground);
    qm_text_append(out, ".qp-whisker{stroke:%s}.qp-shade{fill:%s}", colours->ink, colours->bound);
    for (int i = 0; i < QM_SVG_HUES; i++)
        qm_text_append(out, ".qp-f%d{fill:%s}.qp-s%d{stroke:%s}", i, colours->hues[i], i, colours->hues[i]);
}

void qm_picture_style(enum qm_picture_colours which, struct qm_text *out)
{
    qm_text_append(
        out,
        ".qp{font-family:Inter,\"Helvetica Neue\",Arial,\"Liberation Sans\",\"DejaVu Sans\",sans-serif;"
        "font-size:12px}"
        ".qp-title{font-size:18px;font-weight:bold}.qp-sub{font-size:13px}.qp-head{font-size:13px;font-weight:bold}"
        ".qp-tick,.qp-cap{font-size:11px}.qp-lab{font-size:11.5px}.qp-num{font-size:11.5px}"
        ".qp-grid,.qp-axis,.qp-lead{stroke-width:1;fill:none}.qp-lead{stroke-width:.8}"
        ".qp-bound{stroke-width:1.3;stroke-dasharray:6 4;fill:none}.qp-line{stroke-width:1.6;fill:none;"
        "stroke-linejoin:round}.qp-thin{stroke-width:1;fill:none}.qp-front{stroke-width:1.4;fill:none;"
        "stroke-opacity:.55}.qp-spread{stroke-width:1.1;fill:none;stroke-opacity:.75}.qp-area{fill-opacity:.16}"
        ".qp-dash{stroke-dasharray:5 4}.qp-halo{stroke-width:3.5;stroke-linejoin:round;paint-order:stroke}"
        ".qp-edge{stroke-width:1}.qp-weave{stroke-width:1.5;fill:none;stroke-opacity:.75}"
        ".qp-whisker{stroke-width:1.3;fill:none}.qp-open{stroke-width:1.8}.qp-shade{fill-opacity:.12}"
        ".qp-thick{stroke-width:3;fill:none;stroke-linecap:round}");
    colour_rules(which == QM_PICTURE_DARK ? &dark : &light, out);
    if (which == QM_PICTURE_FOLLOW) {
        qm_text_append(out, "@media screen and (prefers-color-scheme:dark){");
        colour_rules(&dark, out);
        qm_text_append(out, "}");
    }
}
