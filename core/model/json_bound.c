#include "model/json_bound.h"

bool qm_json_is_bounded(const char *text, size_t bytes)
{
    size_t values = 1;
    bool is_string = false;
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (is_string) {
            i += c == '\\';
            is_string = c != '"';
        } else {
            is_string = c == '"';
            values += c == ',' || c == '[' || c == '{';
        }
    }
    return values <= QM_JSON_VALUES_MAX;
}
