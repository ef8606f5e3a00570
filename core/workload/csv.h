// Comma-separated values as RFC 4180 has them, read strictly: fields between commas, records between line ends (LF, or CR and LF);
// a field in quotes may hold commas, line ends and doubled quotes, which stand for one. Lines with nothing at all are passed
// over; so is a UTF-8 byte order mark at the start.
//
// Refused, with "FILE:LINE: what is wrong; what would be right": a quote within a field that has none around it, anything but a
// comma or a line end behind a closing quote, a field in quotes that never ends, a CR alone, zero bytes, bytes that are not
// UTF-8, records of too many fields or bytes.
#ifndef QM_WORKLOAD_CSV_H
#define QM_WORKLOAD_CSV_H

#include "base/status.h"

#include <stddef.h>

#define QM_CSV_RECORD_MAX ((size_t)4 << 20) // bytes
enum {
    QM_CSV_FIELDS_MAX = 64,
};

struct qm_csv {
    const char *name, *text; // the file's name, its bytes
    size_t bytes, at;
    size_t line;                           // the next one, from 1
    size_t record;                         // the line where the latest record begins
    char *room;                            // owned: the latest record's fields
    const char *fields[QM_CSV_FIELDS_MAX]; // of the latest record, without quotes, each ended by a zero
    size_t count;
};

// QM_INVALID where the bytes are no text; QM_OUT_OF_MEMORY. Call qm_csv_end in any case.
QM_MUST_USE enum qm_status qm_csv_begin(const char *name, const void *text, size_t bytes, struct qm_csv *out);
// The next record; count is 0 behind the last one.
QM_MUST_USE enum qm_status qm_csv_next(struct qm_csv *csv);
void qm_csv_end(struct qm_csv *csv);

// Fails with QM_INVALID and "FILE:LINE: ", of the latest record, before the text.
QM_MUST_USE enum qm_status qm_csv_invalid(const struct qm_csv *csv, const char *format, ...) QM_PRINTF(2, 3);

#endif
