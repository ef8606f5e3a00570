// Verbs whose files are still to come. Each function goes when its verb_NAME.c is added; the last one takes this file.
#include "cli/verbs.h"

static int pending(const char *verb)
{
    return qm_verb_fail(QM_FAIL(QM_UNSUPPORTED, "%s is not built in yet; 'qmark help' lists what is", verb));
}

int qm_verb_run(int argc, char **argv)
{
    (void)argc;
    return pending(argv[0]);
}

int qm_verb_calibrate(int argc, char **argv)
{
    (void)argc;
    return pending(argv[0]);
}
