#include "report/report_only.h"

#include "sys/file.h"
#include "sys/picture.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// What every SVG of qmark begins with, and where every PNG says whose it is.
static const char svg_mark[] = "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"qp\"";
static const char png_mark[] = "tEXtSoftware\0qmark " QM_VERSION;
enum {
    PNG_HEAD_BYTES = 33, // signature and IHDR, after which a text may stand
    PNG_MARK_BYTES = 19, // of png_mark, without the version
};

bool qm_picture_read_colours(const char *text, enum qm_picture_colours *out)
{
    static const char *const names[] = {"follow", "light", "dark"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum qm_picture_colours)i;
            return true;
        }
    }
    return false;
}

static bool ends_in(const char *path, const char *end)
{
    size_t length = strlen(path), tail = strlen(end);
    return length > tail && strcasecmp(path + length - tail, end) == 0;
}

// Nothing is written over but a picture.
static enum qm_status check_place(const char *path)
{
    char start[PNG_HEAD_BYTES + 4 + PNG_MARK_BYTES + sizeof(svg_mark)] = {0};
    if (qm_directory_exists(path))
        return QM_FAIL(QM_INVALID, "report: %.200s is a directory; name a file in it, such as trade.svg", path);
    if (!qm_file_exists(path))
        return QM_OK;
    FILE *file = fopen(path, "rb");
    size_t count = file ? fread(start, 1, sizeof(start), file) : 0;
    if (file)
        fclose(file);
    bool is_svg = count >= sizeof(svg_mark) - 1 && memcmp(start, svg_mark, sizeof(svg_mark) - 1) == 0;
    bool is_png = count >= PNG_HEAD_BYTES + 4 + PNG_MARK_BYTES &&
                  memcmp(start + PNG_HEAD_BYTES + 4, png_mark, PNG_MARK_BYTES) == 0;
    if (!is_svg && !is_png)
        return QM_FAIL(QM_INVALID,
                       "report: %.200s is there and is no picture of qmark; remove it or choose another name", path);
    return QM_OK;
}

// ---- PNG ------------------------------------------------------------------------------------------------------------

static void put_word(unsigned char *to, uint32_t word)
{
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(word >> (24 - 8 * i));
}

// ISO 3309, as the PNG specification has it (annex D).
static uint32_t crc_of(const unsigned char *bytes, size_t count)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? 0xedb88320u ^ crc >> 1 : crc >> 1;
    }
    return ~crc;
}

// Puts the text that says whose picture it is after the head.
static enum qm_status mark_png(void **bytes, size_t *count)
{
    size_t text = sizeof(png_mark) - 1, chunk = 4 + text + 4;
    unsigned char *marked = *count > PNG_HEAD_BYTES ? malloc(*count + chunk) : NULL;
    if (!marked)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a picture");
    memcpy(marked, *bytes, PNG_HEAD_BYTES);
    unsigned char *at = marked + PNG_HEAD_BYTES;
    put_word(at, (uint32_t)(text - 4)); // of what follows its kind
    memcpy(at + 4, png_mark, text);
    put_word(at + 4 + text, crc_of(at + 4, text));
    memcpy(at + chunk, (unsigned char *)*bytes + PNG_HEAD_BYTES, *count - PNG_HEAD_BYTES);
    free(*bytes);
    *bytes = marked;
    *count += chunk;
    return QM_OK;
}

static enum qm_status write_png(const struct qm_text *svg, const char *path)
{
    void *bytes = NULL;
    size_t count = 0;
    enum qm_status status = qm_picture_to_png(svg->bytes, svg->used, 2, &bytes, &count);
    if (status == QM_UNAVAILABLE) { // no device is missing, but what was asked for cannot be had here
        char why[400];
        snprintf(why, sizeof(why), "%s", qm_error_text());
        return QM_FAIL(QM_INVALID, "report: %s", why);
    }
    if (status == QM_OK)
        status = mark_png(&bytes, &count);
    if (status == QM_OK)
        status = qm_file_write(path, bytes, count);
    free(bytes);
    return status;
}

// ---- The file -------------------------------------------------------------------------------------------------------

static enum qm_status draw(const struct qm_picture_set *pictures, const struct qm_report_only_params *params,
                           const char *path, struct qm_text *told)
{
    struct qm_text svg = {0};
    size_t count = qm_picture_count(pictures, params->picture);
    uint64_t drawing = params->drawing > 0 ? params->drawing : 1;
    bool is_png = ends_in(path, ".png");
    struct qm_picture_params how = {.width = params->width < 100000 ? (unsigned)params->width : 100000,
                                    .standalone = true,
                                    .colours = params->colours};
    if (drawing > count)
        return QM_FAIL(QM_INVALID, "report: drawing %" PRIu64 " of '%s'; there %s %zu", drawing,
                       qm_picture_name(params->picture), count == 1 ? "is" : "are", count);
    if (is_png && how.colours == QM_PICTURE_FOLLOW)
        how.colours = QM_PICTURE_LIGHT;
    enum qm_status status = qm_picture_draw(pictures, params->picture, (size_t)drawing - 1, &how, &svg);
    if (status == QM_OK)
        status = is_png ? write_png(&svg, path) : qm_file_write(path, svg.bytes, svg.used);
    qm_text_free(&svg);
    if (status != QM_OK)
        return status;
    qm_text_append(told, "%s: ", path);
    qm_picture_title(pictures, params->picture, (size_t)drawing - 1, told);
    if (count > 1)
        qm_text_append(told, "; drawing %" PRIu64 " of %zu, '--drawing N' chooses another", drawing, count);
    qm_text_append(told, "\n");
    return QM_OK;
}

enum qm_status qm_report_only(const struct qm_result_set *set, const struct qm_report_only_params *params,
                              const char *path, struct qm_text *told)
{
    struct qm_picture_set *pictures = NULL;
    if (!ends_in(path, ".svg") && !ends_in(path, ".png"))
        return QM_FAIL(QM_INVALID, "report: '%.200s' with --only; its name must end in .svg or .png", path);
    QM_TRY(check_place(path));
    struct qm_picture_source *sources = calloc(set->count + 1, sizeof(*sources));
    enum qm_status status = sources ? QM_OK : QM_FAIL(QM_OUT_OF_MEMORY, "no memory for pictures");
    for (size_t i = 0; sources && i < set->count; i++)
        sources[i] = (struct qm_picture_source){
            .result = set->entries[i].result, .path = set->entries[i].path, .is_changed = !set->entries[i].is_intact};
    if (status == QM_OK)
        status = qm_picture_set_create(sources, set->count, &pictures);
    if (status == QM_OK)
        status = draw(pictures, params, path, told);
    qm_picture_set_destroy(&pictures);
    free(sources);
    return status;
}
