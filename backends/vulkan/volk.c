// volk's functions, compiled here once. volk opens Vulkan's loader at run time, so that qmark starts without one.
#define VOLK_IMPLEMENTATION
#include <volk.h>
