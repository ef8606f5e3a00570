#include "cli/verbs.h"

int main(int argc, char **argv)
{
    return qm_main(argc, argv);
}
