#include "backends/backend.h"
#include "bench/device_node.h"
#include "bench/selftest.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "kernel/kernels.h"
#include "report/readings.h"
#include "report/table.h"
#include "sys/host.h"
#include "sys/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TELEMETRY_NS 100000000u // between the begin of counters and the reading: what is a share of time needs some

enum {
    DEVICES_MAX = 64,
    APIS = 3
};

struct entry {
    struct qm_device_info info;
    struct qm_selftest selftest;
    char failure[256]; // why the self-test has no answer; "" where it has
    size_t physical;   // index of the first entry of the same physical device
    char joined_by[64];
    struct qm_telemetry *telemetry; // NULL where it was not asked for
    struct qm_telemetry_sample reading;
};

struct listing {
    struct entry *entries;
    size_t count;
    char missing[APIS][512]; // why an API has no device; "" where it has
};

// ---- Finding ------------------------------------------------------------------------------------------------------

static void try_device(const struct qm_backend *backend, struct entry *entry)
{
    struct qm_device *device = NULL;
    struct qm_open_params params = {0};
    enum qm_status status = backend->open(&entry->info, &params, &device);
    if (status == QM_OK)
        status = qm_selftest_run(device, &entry->selftest);
    if (status != QM_OK) {
        snprintf(entry->failure, sizeof(entry->failure), "%.255s", qm_error_text());
        // What the driver advertises is known all the same.
        memcpy(entry->selftest.capabilities, entry->info.capabilities, sizeof(entry->info.capabilities));
        entry->selftest.capability_count = entry->info.capability_count;
        entry->selftest.status = status;
    }
    if (device)
        device->fns->destroy(&device);
}

static enum qm_status find_devices(struct listing *list)
{
    struct qm_device_info *infos = calloc(DEVICES_MAX, sizeof(*infos));
    list->entries = calloc(DEVICES_MAX, sizeof(*list->entries));
    if (!infos || !list->entries) {
        free(infos);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a list of devices");
    }
    for (size_t b = 0; qm_backends[b]; ++b) {
        size_t count = 0;
        enum qm_status status = qm_backends[b]->enumerate(infos, DEVICES_MAX, &count);
        if (status != QM_OK)
            snprintf(list->missing[b], sizeof(list->missing[b]), "%.511s", qm_error_text());
        else if (count == 0)
            snprintf(list->missing[b], sizeof(list->missing[b]), "no device");
        for (size_t i = 0; status == QM_OK && i < count && i < DEVICES_MAX && list->count < DEVICES_MAX; ++i) {
            struct entry *entry = &list->entries[list->count];
            entry->info = infos[i];
            entry->physical = list->count++;
            try_device(qm_backends[b], entry);
        }
    }
    free(infos);
    return QM_OK;
}

// By what two entries are one physical device; NULL: they are not, as far as one can tell.
static const char *same_device(const struct qm_device_info *a, const struct qm_device_info *b)
{
    bool is_reference = strcmp(a->api, "reference") == 0 || strcmp(b->api, "reference") == 0;
    if (is_reference)
        return NULL;
    if (a->has_uuid && b->has_uuid && memcmp(a->uuid, b->uuid, sizeof(a->uuid)) == 0)
        return "UUID";
    if (a->pci_address[0] && strcmp(a->pci_address, b->pci_address) == 0)
        return "PCI address";
    if (a->type == QM_DEVICE_CPU && b->type == QM_DEVICE_CPU)
        return "being this machine's processor";
    // Two cards of one kind have the same ids and names: then an address is needed.
    if (a->vendor_id && a->vendor_id == b->vendor_id && strcmp(a->api, b->api) != 0 && strcmp(a->name, b->name) == 0 &&
        (!a->pci_address[0] || !b->pci_address[0]))
        return "vendor and name";
    return NULL;
}

static void join_devices(struct listing *list)
{
    for (size_t i = 0; i < list->count; ++i) {
        for (size_t j = 0; j < i; ++j) {
            const char *by = same_device(&list->entries[i].info, &list->entries[j].info);
            if (!by)
                continue;
            list->entries[i].physical = list->entries[j].physical;
            snprintf(list->entries[i].joined_by, sizeof(list->entries[i].joined_by), "%s", by);
            break;
        }
    }
}

// One reading of each device, while nothing of ours runs on it.
static enum qm_status read_telemetry(struct listing *list)
{
    for (size_t i = 0; i < list->count; ++i) {
        const struct qm_device_info *info = &list->entries[i].info;
        const struct qm_telemetry_params params = {.root = "",
                                                   .pci_address = info->pci_address,
                                                   .vendor_id = info->vendor_id,
                                                   .is_cpu = info->type == QM_DEVICE_CPU ||
                                                             strcmp(info->api, "reference") == 0};
        QM_TRY(qm_telemetry_open(&params, &list->entries[i].telemetry));
    }
    qm_sleep_ns(TELEMETRY_NS);
    for (size_t i = 0; i < list->count; ++i)
        qm_telemetry_read(list->entries[i].telemetry, &list->entries[i].reading);
    return QM_OK;
}

static void free_listing(struct listing *list)
{
    for (size_t i = 0; list->entries && i < list->count; ++i)
        qm_telemetry_close(&list->entries[i].telemetry);
    free(list->entries);
}

// ---- As a tree ----------------------------------------------------------------------------------------------------

static void add_capabilities(struct qm_node *device, const struct qm_selftest *selftest)
{
    struct qm_node *list = qm_node_add_mapping(device, "capabilities");
    for (uint32_t i = 0; i < selftest->capability_count; ++i) {
        const struct qm_capability *c = &selftest->capabilities[i];
        struct qm_node *node = qm_node_add_mapping(list, c->name);
        qm_node_set_bool(node, "advertised", c->advertised);
        qm_node_set_bool(node, "tried", c->tried);
        if (c->tried)
            qm_node_set_bool(node, "works", c->works);
        else
            qm_node_set_text(node, "works", "not tried");
        qm_node_set_text(node, "detail", c->detail);
    }
}

static struct qm_node *node_of_entry(const struct entry *entry, const struct listing *list)
{
    struct qm_node *node = qm_device_node(&entry->info);
    qm_node_set_text(node, "id", entry->info.id);
    const struct qm_selftest *tested = &entry->selftest;
    qm_node_set_text(node, "class", qm_device_class_name(qm_device_class(&entry->info)));
    qm_node_set_text(node, "tile",
                     qm_tiers_best(&entry->info, qm_tiers_working(tested->capabilities, tested->capability_count), 1));
    add_capabilities(node, &entry->selftest);
    if (entry->failure[0]) {
        struct qm_node *selftest = qm_node_add_mapping(node, "self_test");
        qm_node_set_text(selftest, "status", "failed");
        qm_node_set_text(selftest, "reason", entry->failure);
    } else {
        struct qm_node *selftest = qm_selftest_node(&entry->selftest);
        qm_node_remove(selftest, "capabilities"); // they stand above, in full
        qm_node_set_node(node, "self_test", selftest);
    }
    if (entry->telemetry)
        qm_node_set_node(node, "telemetry", qm_readings_node(entry->telemetry, &entry->reading));
    if (entry->joined_by[0]) {
        qm_node_set_text(node, "same_device_as", list->entries[entry->physical].info.id);
        qm_node_set_text(node, "joined_by", entry->joined_by);
    }
    return node;
}

static const char *level_name(enum qm_finding_level level)
{
    return level == QM_FINDING_PROBLEM ? "problem" : level == QM_FINDING_NOTE ? "note" : "fine";
}

static struct qm_node *node_of(const struct listing *list, const struct qm_inspection *inspection)
{
    struct qm_node *root = qm_node_new_mapping();
    struct qm_node *devices = qm_node_add_sequence(root, "devices");
    for (size_t i = 0; i < list->count; ++i)
        qm_node_append_node(devices, node_of_entry(&list->entries[i], list));
    struct qm_node *missing = qm_node_add_mapping(root, "missing");
    for (size_t b = 0; qm_backends[b]; ++b) {
        if (list->missing[b][0])
            qm_node_set_text(missing, qm_backends[b]->name, list->missing[b]);
    }
    if (inspection) {
        struct qm_node *findings = qm_node_add_sequence(root, "check");
        for (size_t i = 0; i < inspection->count; ++i) {
            struct qm_node *finding = qm_node_append_mapping(findings);
            qm_node_set_text(finding, "level", level_name(inspection->findings[i].level));
            qm_node_set_text(finding, "what", inspection->findings[i].what);
            if (inspection->findings[i].repair[0])
                qm_node_set_text(finding, "repair", inspection->findings[i].repair);
        }
    }
    return root;
}

// ---- As text ------------------------------------------------------------------------------------------------------

static void print_capabilities(const struct entry *entry)
{
    const struct qm_device_info *info = &entry->info;
    char text[192];
    printf(
        "  limits                %llu MiB a binding, %llu MiB an allocation, %u invocations a workgroup, %u KiB local, "
        "offsets of %u bytes\n",
        (unsigned long long)(info->max_binding_bytes >> 20), (unsigned long long)(info->max_allocation_bytes >> 20),
        info->max_workgroup_invocations, info->max_local_bytes >> 10, info->buffer_offset_alignment);
    if (info->pci_address[0] || info->has_uuid) {
        printf("  identity              %s%s", info->pci_address[0] ? "PCI " : "", info->pci_address);
        for (int i = 0; info->has_uuid && i < 16; ++i)
            printf("%s%02x", i > 0 ? "" : info->pci_address[0] ? ", UUID " : "UUID ", info->uuid[i]);
        printf("\n");
    }
    for (uint32_t i = 0; i < entry->selftest.capability_count; ++i) {
        qm_capability_text(&entry->selftest.capabilities[i], text);
        printf("  %-21s %s\n", entry->selftest.capabilities[i].name, text);
    }
    if (entry->failure[0])
        printf("  self-test             failed: %s\n", entry->failure);
    else if (entry->selftest.status != QM_OK)
        printf("  self-test             WRONG: %s\n", entry->selftest.reason);
    else
        printf("  self-test             passed: rounding, qmark's own functions to the bit, loops\n");
    for (uint32_t i = 0; i < entry->selftest.note_count; ++i)
        printf("  note                  %s\n", entry->selftest.notes[i]);
}

static enum qm_status print_details(const struct entry *entry)
{
    const struct qm_device_info *info = &entry->info;
    printf("\n%s  %s\n", info->id, info->name);
    printf("  driver                %s; %s; loader %s\n", info->driver, info->api_version, info->loader);
    if (strcmp(info->api, "reference") != 0) // which has no limits but the host's memory
        print_capabilities(entry);
    return entry->telemetry ? qm_readings_write(entry->telemetry, &entry->reading, stdout) : QM_OK;
}

static enum qm_status print_table(const struct listing *list)
{
    static const char *const titles[] = {"device", "name", "type", "driver", "self-test", "same as"};
    struct qm_table *table = qm_table_create();
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); ++i)
        qm_table_column(table, titles[i], false);
    for (size_t i = 0; i < list->count; ++i) {
        const struct entry *e = &list->entries[i];
        bool is_reference = strcmp(e->info.api, "reference") == 0;
        qm_table_row(table);
        qm_table_cell(table, "%s", e->info.id);
        qm_table_cell(table, "%s", e->info.name);
        qm_table_cell(table, "%s", qm_device_type_name(e->info.type));
        qm_table_cell(table, "%s", e->info.driver_name);
        qm_table_cell(table, "%s",
                      is_reference                  ? "none: the oracle"
                      : e->failure[0]               ? "failed"
                      : e->selftest.status != QM_OK ? "WRONG"
                      : e->selftest.note_count > 0  ? "passed, notes below"
                                                    : "passed");
        if (e->joined_by[0])
            qm_table_cell(table, "%s, joined by %s", list->entries[e->physical].info.id, e->joined_by);
        else
            qm_table_cell(table, "%s", "");
    }
    enum qm_status status = qm_table_write(table, stdout, qm_terminal_columns(1, 0), qm_is_terminal(1));
    qm_table_destroy(&table);
    return status;
}

static enum qm_status print_listing(const struct listing *list)
{
    QM_TRY(print_table(list));
    for (size_t i = 0; i < list->count; ++i)
        QM_TRY(print_details(&list->entries[i]));
    printf("\n");
    for (size_t b = 0; qm_backends[b]; ++b) {
        if (list->missing[b][0])
            printf("%s: %s\n", qm_backends[b]->name, list->missing[b]);
    }
    return QM_OK;
}

static void print_inspection(const struct qm_inspection *inspection)
{
    for (size_t i = 0; i < inspection->count; ++i) {
        const struct qm_finding *finding = &inspection->findings[i];
        printf("%-8s %s\n", level_name(finding->level), finding->what);
        if (finding->repair[0])
            printf("%-8s to repair: %s\n", "", finding->repair);
    }
}

// ---- The verb -----------------------------------------------------------------------------------------------------

// Wrong results before broken drivers before none at all; the reference counts as no device.
static int exit_code(const struct listing *list, const struct qm_inspection *inspection)
{
    size_t real = 0;
    bool is_wrong = false, has_problem = false;
    for (size_t i = 0; i < list->count; ++i) {
        real += strcmp(list->entries[i].info.api, "reference") != 0;
        is_wrong = is_wrong || list->entries[i].selftest.status == QM_WRONG_RESULT;
    }
    for (size_t i = 0; inspection && i < inspection->count; ++i)
        has_problem = has_problem || inspection->findings[i].level == QM_FINDING_PROBLEM;
    if (real == 0)
        return QM_EXIT_NO_DEVICE;
    return is_wrong ? QM_EXIT_WRONG : has_problem ? QM_EXIT_NO : QM_EXIT_OK;
}

int qm_verb_devices(int argc, char **argv)
{
    bool as_json = false, check = false, telemetry = false, done = false;
    const struct qm_option options[] = {
        {"check", QM_OPTION_FLAG, &check, NULL,
         "say what is wrong with loaders, drivers and permissions, and the repair"},
        {"json", QM_OPTION_FLAG, &as_json, NULL, "print the list as JSON"},
        {"telemetry", QM_OPTION_FLAG, &telemetry, NULL,
         "read clock, power, temperature and load of each device, and say from where"},
    };
    const struct qm_command command = {
        .verb = "devices",
        .operands = "",
        .meaning = "List every device of every API, and try what its driver advertises.",
        .details = "Entries that are one physical device say so, and by what. Exit: 0 fine, 1 --check found a problem, "
                   "3 no device, 4 a device computes wrong results.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0])};
    const char **operands = NULL;
    size_t operand_count = 0;
    enum qm_status status = qm_command_parse(&command, argc, argv, &operands, &operand_count, &done);
    if (status != QM_OK)
        return qm_verb_fail(status);
    if (done)
        return QM_EXIT_OK;
    struct listing list = {0};
    struct qm_inspection *inspection = check ? calloc(1, sizeof(*inspection)) : NULL;
    status = find_devices(&list);
    if (status == QM_OK && telemetry)
        status = read_telemetry(&list);
    if (status != QM_OK || (check && !inspection)) {
        free_listing(&list);
        free(inspection);
        return qm_verb_fail(status != QM_OK ? status : QM_FAIL(QM_OUT_OF_MEMORY, "no memory for --check"));
    }
    join_devices(&list);
    if (inspection)
        qm_inspect(inspection);
    int code = exit_code(&list, inspection);
    if (as_json) {
        struct qm_node *root = node_of(&list, inspection);
        int printed = qm_verb_print_json(&root);
        code = printed != QM_EXIT_OK ? printed : code;
    } else {
        status = print_listing(&list);
        if (inspection)
            print_inspection(inspection);
        if (code == QM_EXIT_NO_DEVICE) {
            fflush(stdout);
            fprintf(stderr, "qmark: no device but the reference; 'qmark devices --check' says what to install\n");
        }
        code = status != QM_OK ? qm_verb_fail(status) : code;
    }
    free_listing(&list);
    free(inspection);
    return code;
}
