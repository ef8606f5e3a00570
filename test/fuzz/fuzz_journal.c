// libFuzzer target: any bytes are read as a run's journal. What is accepted keeps its limits, and means the same without
// the line that was torn; what is refused has one line that says where.
//
//   tools/fuzz.sh 60 journal
#include "bench/journal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void require_hash(const char *hash)
{
    require(strlen(hash) == 64 && strspn(hash, "0123456789abcdef") == 64);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct qm_journal *journal = malloc(sizeof(*journal)), *again = malloc(sizeof(*again));
    require(journal && again);
    if (qm_journal_parse((const char *)bytes, count, "journal", journal) != QM_OK) {
        require(strncmp(qm_error_text(), "journal:", 8) == 0 && !strchr(qm_error_text(), '\n'));
    } else {
        require(journal->whole_bytes > 0 && journal->whole_bytes <= count && bytes[journal->whole_bytes - 1] == '\n');
        require(journal->device_count <= QM_DEVICE_LIST_MAX && journal->option_count <= QM_JOURNAL_OPTIONS_MAX);
        require_hash(journal->identity.profile_hash);
        require_hash(journal->identity.model_sha256);
        for (size_t i = 0; i < journal->device_count; ++i) {
            const struct qm_journal_device *device = &journal->devices[i];
            require(device->state <= QM_JOURNAL_INTERRUPTED && device->outcome < QM_JOURNAL_OUTCOMES);
            if (device->state != QM_JOURNAL_FINISHED)
                continue;
            require_hash(device->hash);
            require(!strchr(device->file, '/') && device->file[0] == 'q');
        }
        require(qm_journal_parse((const char *)bytes, journal->whole_bytes, "journal", again) == QM_OK);
        require(memcmp(journal, again, sizeof(*journal)) == 0);
    }
    free(journal);
    free(again);
    return 0;
}
