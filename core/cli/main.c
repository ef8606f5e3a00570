#include <stdlib.h>
#include <string.h>

#include "bench/worker.h"
#include "cli/verbs.h"

int main(int argc, char **argv)
{
    // Hidden: the process that owns a device; see worker.h.
    if (argc <= 3 && argc >= 2 && strcmp(argv[1], "worker") == 0)
        return qm_worker_main(argc == 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0);
    return qm_main(argc, argv);
}
