#include "sys/picture.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sys/leaks.h"
#include "sys/library.h"

// Of the libraries' interfaces what is used here; their types are only pointed to.
struct rectangle {
    double x, y, width, height;
};
typedef int (*write_fn)(void *closure, const unsigned char *data, unsigned length); // 0: success

enum {
    FORMAT_RGB24 = 1, // of cairo: without transparency
    SIDE_MAX = 20000
};

static struct {
    void *(*handle_new)(const unsigned char *data, size_t length, void **error);
    int (*intrinsic_size)(void *handle, double *width, double *height);
    int (*render)(void *handle, void *cairo, const struct rectangle *viewport, void **error);
    void (*unref)(void *object);
    void *(*surface_create)(int format, int width, int height);
    void *(*create)(void *surface);
    int (*status)(void *cairo);
    int (*write)(void *surface, write_fn write, void *closure);
    void (*destroy)(void *cairo);
    void (*surface_destroy)(void *surface);
    bool is_there;
} library;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void look(void)
{
    const char *chosen = getenv("QM_RSVG");
    if (chosen && strcmp(chosen, "none") == 0)
        return;
    QM_LEAKS_IGNORE();
    void *rsvg = dlopen("librsvg-2.so.2", RTLD_NOW | RTLD_LOCAL);
    void *cairo = rsvg ? dlopen("libcairo.so.2", RTLD_NOW | RTLD_LOCAL) : NULL;
    void *gobject = cairo ? dlopen("libgobject-2.0.so.0", RTLD_NOW | RTLD_LOCAL) : NULL;
    library.is_there = gobject && qm_library_find(rsvg, "rsvg_handle_new_from_data", &library.handle_new) &&
                       qm_library_find(rsvg, "rsvg_handle_get_intrinsic_size_in_pixels", &library.intrinsic_size) &&
                       qm_library_find(rsvg, "rsvg_handle_render_document", &library.render) &&
                       qm_library_find(gobject, "g_object_unref", &library.unref) &&
                       qm_library_find(cairo, "cairo_image_surface_create", &library.surface_create) &&
                       qm_library_find(cairo, "cairo_create", &library.create) &&
                       qm_library_find(cairo, "cairo_status", &library.status) &&
                       qm_library_find(cairo, "cairo_surface_write_to_png_stream", &library.write) &&
                       qm_library_find(cairo, "cairo_destroy", &library.destroy) &&
                       qm_library_find(cairo, "cairo_surface_destroy", &library.surface_destroy);
    QM_LEAKS_HEED();
}

struct stream {
    unsigned char *bytes;
    size_t used, capacity;
};

static int add(void *closure, const unsigned char *data, unsigned length)
{
    struct stream *stream = closure;
    if (stream->used + length > stream->capacity) {
        size_t capacity = 2 * (stream->used + length);
        unsigned char *grown = realloc(stream->bytes, capacity);
        if (!grown)
            return 1; // no memory
        stream->bytes = grown;
        stream->capacity = capacity;
    }
    memcpy(stream->bytes + stream->used, data, length);
    stream->used += length;
    return 0;
}

static enum qm_status draw(void *handle, double scale, struct stream *stream)
{
    struct rectangle viewport = {.x = 0};
    void *surface = NULL, *cairo = NULL;
    if (!library.intrinsic_size(handle, &viewport.width, &viewport.height) || !(viewport.width >= 1) ||
        !(viewport.height >= 1))
        return QM_FAIL(QM_FAILED, "librsvg: the picture has no size in pixels");
    scale = fmin(scale, SIDE_MAX / fmax(viewport.width, viewport.height));
    viewport.width = floor(viewport.width * scale);
    viewport.height = floor(viewport.height * scale);
    surface = library.surface_create(FORMAT_RGB24, (int)viewport.width, (int)viewport.height);
    cairo = library.create(surface);
    bool is_drawn = library.status(cairo) == 0 && library.render(handle, cairo, &viewport, NULL) &&
                    library.status(cairo) == 0 && library.write(surface, add, stream) == 0;
    library.destroy(cairo);
    library.surface_destroy(surface);
    return is_drawn ? QM_OK : QM_FAIL(QM_FAILED, "librsvg could not draw the picture, or there is no memory for it");
}

enum qm_status qm_picture_to_png(const char *svg, size_t count, double scale, void **bytes, size_t *byte_count)
{
    struct stream stream = {0};
    *bytes = NULL;
    *byte_count = 0;
    pthread_once(&once, look);
    if (!library.is_there)
        return QM_FAIL(QM_UNAVAILABLE,
                       "a PNG needs librsvg 2.52 or later, which is not here; install it (Debian: apt-get "
                       "install librsvg2-2), or write an .svg");
    QM_LEAKS_IGNORE();
    void *handle = library.handle_new((const unsigned char *)svg, count, NULL);
    enum qm_status status =
        handle ? draw(handle, scale, &stream) : QM_FAIL(QM_FAILED, "librsvg cannot read the picture");
    if (handle)
        library.unref(handle);
    QM_LEAKS_HEED();
    if (status != QM_OK) {
        free(stream.bytes);
        return status;
    }
    *bytes = stream.bytes;
    *byte_count = stream.used;
    return QM_OK;
}
