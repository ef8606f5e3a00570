#include "text/charsmap.h"

#include "text/utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ENDS_HERE 0x100u
#define LABEL 0x800000ffu // a value has the highest bit, so that it is no child
#define VALUE 0x7fffffffu

static uint32_t offset_of(uint32_t unit)
{
    return (unit >> 10) << ((unit & 0x200u) >> 6);
}

static uint32_t u32_at(const unsigned char *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

enum qm_status qm_charsmap_read(const void *bytes, size_t count, const char *file, const char *place,
                                struct qm_charsmap *out)
{
    const unsigned char *at = bytes;
    *out = (struct qm_charsmap){0};
    if (count == 0)
        return QM_OK;
    size_t array_bytes = count < 4 ? 0 : u32_at(at), unit_count = array_bytes / 4;
    if (array_bytes < 4 || array_bytes % 4 != 0 || array_bytes >= count - 4)
        return QM_FAIL(QM_INVALID,
                       "%s: %s: %zu bytes, of which an array has %zu; it is cut off or damaged, fetch it again", file,
                       place, count, array_bytes);
    size_t text_bytes = count - 4 - array_bytes;
    const char *texts = (const char *)at + 4 + array_bytes;
    if (texts[text_bytes - 1] != '\0' || qm_utf8_valid(texts, text_bytes) < text_bytes)
        return QM_FAIL(QM_INVALID, "%s: %s: its texts are not UTF-8, each with a zero at its end; fetch the file again",
                       file, place);
    out->units = malloc(array_bytes);
    out->texts = malloc(text_bytes);
    if (!out->units || !out->texts) {
        qm_charsmap_free(out);
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %s; close other programs and try again", file, place);
    }
    for (size_t i = 0; i < unit_count; i++)
        out->units[i] = u32_at(at + 4 + 4 * i);
    memcpy(out->texts, texts, text_bytes);
    out->unit_count = unit_count;
    out->text_bytes = text_bytes;
    return QM_OK;
}

void qm_charsmap_free(struct qm_charsmap *map)
{
    free(map->units);
    free(map->texts);
    *map = (struct qm_charsmap){0};
}

struct qm_charsmap_match qm_charsmap_find(const struct qm_charsmap *map, const char *text, size_t count, bool shortest)
{
    struct qm_charsmap_match match = {0};
    if (map->unit_count == 0)
        return match;
    size_t place = offset_of(map->units[0]);
    for (size_t i = 0; i < count; i++) {
        unsigned char byte = (unsigned char)text[i];
        place ^= byte;
        if (place >= map->unit_count || (map->units[place] & LABEL) != byte)
            break;
        uint32_t unit = map->units[place];
        place ^= offset_of(unit);
        if (!(unit & ENDS_HERE) || place >= map->unit_count)
            continue;
        size_t begin = map->units[place] & VALUE;
        if (begin >= map->text_bytes || (map->texts[begin] & 0xc0) == 0x80)
            continue;
        match = (struct qm_charsmap_match){i + 1, map->texts + begin, strlen(map->texts + begin)};
        if (shortest)
            break;
    }
    return match;
}
