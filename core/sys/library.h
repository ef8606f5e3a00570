// Functions of a library that was opened at run time.
#ifndef QM_SYS_LIBRARY_H
#define QM_SYS_LIBRARY_H

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

// Puts the function of that name into *function, which is a pointer to a function; false, and NULL there, if it has none.
static inline bool qm_library_find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof(symbol)); // ISO C converts no object pointer into a function pointer
    return symbol != NULL;
}

#endif
