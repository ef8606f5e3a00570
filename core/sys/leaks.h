// What a driver or a library of others leaks while it is loaded is not ours (Mesa's Clover into modules that it unloads
// again, which no suppression can name): between these two LeakSanitizer does not look. Without it they are nothing.
#ifndef QM_SYS_LEAKS_H
#define QM_SYS_LEAKS_H

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#define QM_LEAKS_IGNORE() __lsan_disable()
#define QM_LEAKS_HEED() __lsan_enable()
#else
#define QM_LEAKS_IGNORE() ((void)0)
#define QM_LEAKS_HEED() ((void)0)
#endif

#endif
