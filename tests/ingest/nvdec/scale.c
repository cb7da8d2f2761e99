/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Modules and kernels of the stand-in driver for the ingester: its scaling kernels, which the
 * processor runs in the order of their stream over the device's memory.
 */
#include <stdlib.h>
#include <string.h>

#include "standin.h"

/* The structures of ingest/scale.cu. */
struct component {
    uint64_t first;
    int pitch, step, wide, width, height;
};

struct mapping {
    float origin_x, origin_y, step_x, step_y;
};

struct rgb {
    uint64_t first;
    int pitch, pixel, red, green, blue, alpha, width, height;
    float matrix[3][4];
};

struct launch {
    bool to_rgb;
    struct component parts[3]; /* to_rgb: Y, Cb, Cr; else from and to */
    struct mapping maps[2];
    struct rgb rgb;
    int bits;
};

int cuModuleLoadData(void **module, const void *image);
int cuModuleUnload(void *module);
int cuModuleGetFunction(const char **function, void *module, const char *name);
int cuLaunchKernel(const char *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                   unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                   void *stream, void **parameters, void **extra);

void run_on_host(const char *name, unsigned width, unsigned height, void **arguments);

EXPORTED int cuModuleLoadData(void **module, const void *image)
{
    ENTER(cuModuleLoadData);
    *module = strdup(image);
    return *module ? SUCCESS : OUT_OF_MEMORY;
}

EXPORTED int cuModuleUnload(void *module)
{
    ENTER(cuModuleUnload);
    free(module);
    return SUCCESS;
}

EXPORTED int cuModuleGetFunction(const char **function, void *module, const char *name)
{
    ENTER(cuModuleGetFunction);
    *function = strcmp(name, "scale_to_rgb") == 0 ? "scale_to_rgb" : "scale_component";
    return strstr(module, name) ? SUCCESS : NOT_FOUND;
}

/* From the device's address to where the processor has it. */
static int find(int device, uint64_t *first, size_t size, int access)
{
    void *found;
    int result = device_memory(device, *first, size, access, &found);

    if (!result)
        *first = (uint64_t)(uintptr_t)found;
    return result;
}

static int find_component(int device, struct component *c, int access)
{
    size_t size = (size_t)(c->height - 1) * (size_t)c->pitch +
                  (size_t)(c->width - 1) * (size_t)c->step + (c->wide ? 2 : 1);

    return find(device, &c->first, size, access);
}

static int run_to_rgb(int device, struct launch *l)
{
    void *arguments[] = {&l->parts[0], &l->parts[1], &l->parts[2],
                         &l->maps[0],  &l->maps[1],  &l->rgb};
    size_t size = (size_t)(l->rgb.height - 1) * (size_t)l->rgb.pitch +
                  (size_t)l->rgb.width * (size_t)l->rgb.pixel;

    for (int i = 0; i < 3; i++)
        if (find_component(device, &l->parts[i], READ_ACCESS))
            return ILLEGAL_ADDRESS;
    if (find(device, &l->rgb.first, size, WRITE_ACCESS))
        return ILLEGAL_ADDRESS;
    run_on_host("scale_to_rgb", (unsigned)l->rgb.width, (unsigned)l->rgb.height, arguments);
    return SUCCESS;
}

static int run_component(int device, struct launch *l)
{
    void *arguments[] = {&l->parts[0], &l->parts[1], &l->maps[0], &l->bits};

    if (find_component(device, &l->parts[0], READ_ACCESS) ||
        find_component(device, &l->parts[1], WRITE_ACCESS))
        return ILLEGAL_ADDRESS;
    run_on_host("scale_component", (unsigned)l->parts[1].width, (unsigned)l->parts[1].height,
                arguments);
    return SUCCESS;
}

static int run_launch(struct context *context, void *payload)
{
    struct launch *l = *(struct launch **)payload;
    int result = l->to_rgb ? run_to_rgb(context->device, l) : run_component(context->device, l);

    free(l);
    return result;
}

static void skip_launch(struct context *context, void *payload)
{
    (void)context;
    free(*(struct launch **)payload);
}

static const struct operation kernel = {"kernel", run_launch, skip_launch};

#define TAKE(to, index) memcpy(&(to), parameters[index], sizeof(to))

EXPORTED int cuLaunchKernel(const char *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                            unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                            void *stream, void **parameters, void **extra)
{
    struct launch *l;
    int result;

    ENTER(cuLaunchKernel);
    (void)shared;
    if (!grid_x || !grid_y || !grid_z || !block_x || !block_y || !block_z || extra)
        return INVALID_VALUE;
    l = calloc(1, sizeof(*l));
    if (!l)
        return OUT_OF_MEMORY;
    l->to_rgb = strcmp(function, "scale_to_rgb") == 0;
    TAKE(l->parts[0], 0);
    TAKE(l->parts[1], 1);
    if (l->to_rgb) {
        TAKE(l->parts[2], 2);
        TAKE(l->maps[0], 3);
        TAKE(l->maps[1], 4);
        TAKE(l->rgb, 5);
    } else {
        TAKE(l->maps[0], 2);
        TAKE(l->bits, 3);
    }
    result = submit(stream, &kernel, &l, sizeof(void *));
    if (result)
        free(l);
    return result;
}
