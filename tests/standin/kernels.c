/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Modules and kernels. This driver runs no GPU code: it knows the kernels of tests/gpu/kernels.h by
 * their names, and does what they do in C. A module is not looked into but for the names of its
 * entries.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "standin.h"

#define MAX_PARAMETERS 6
#define MULTIPLIER     UINT64_C(0x9e3779b97f4a7c15)

struct module {
    char *text;
};

/* Parameters, each widened to 64 bits. */
struct launch {
    const struct function *function;
    uint64_t parameters[MAX_PARAMETERS];
};

struct function {
    const char *name;
    unsigned count;
    unsigned char sizes[MAX_PARAMETERS];
    int (*run)(int device, const uint64_t *p);
};

int cuModuleLoadData(struct module **module, const void *image);
int cuModuleUnload(struct module *module);
int cuModuleGetFunction(const struct function **function, struct module *module, const char *name);
int cuLaunchKernel(const struct function *function, unsigned grid_x, unsigned grid_y,
                   unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                   unsigned shared, void *stream, void **parameters, void **extra);

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint32_t count_wrong(const uint64_t *words, uint64_t count, uint64_t stamp)
{
    uint32_t wrong = 0;

    for (uint64_t i = 0; i < count; i++)
        wrong += words[i] != stamp * MULTIPLIER + i;
    return wrong;
}

/* words, count, stamp */
static int run_fill(int device, const uint64_t *p)
{
    void *words;

    if (device_memory(device, p[0], p[1] * 8, WRITE_ACCESS, &words))
        return ILLEGAL_ADDRESS;
    for (uint64_t i = 0; i < p[1]; i++)
        ((uint64_t *)words)[i] = p[2] * MULTIPLIER + i;
    return SUCCESS;
}

/* words, count, stamp, wrong: adds how many words are not as fill made them */
static int run_verify(int device, const uint64_t *p)
{
    void *words, *wrong;

    if (device_memory(device, p[0], p[1] * 8, READ_ACCESS, &words) ||
        device_memory(device, p[3], 4, WRITE_ACCESS, &wrong))
        return ILLEGAL_ADDRESS;
    atomic_fetch_add((_Atomic uint32_t *)wrong, count_wrong(words, p[1], p[2]));
    return SUCCESS;
}

/* words, count, stamp, wrong, nanoseconds: verify, again and again for so long */
static int run_linger(int device, const uint64_t *p)
{
    int64_t end = now_ns() + (int64_t)p[4];
    int result;

    do
        result = run_verify(device, p);
    while (!result && now_ns() < end);
    return result;
}

/* words, count, value: writes the value into the last word */
static int run_poke(int device, const uint64_t *p)
{
    void *words;

    if (device_memory(device, p[0], p[1] * 8, WRITE_ACCESS, &words))
        return ILLEGAL_ADDRESS;
    ((uint64_t *)words)[p[1] - 1] = p[2];
    return SUCCESS;
}

static const struct function functions[] = {
    {"cuframes_test_fill", 3, {8, 8, 8}, run_fill},
    {"cuframes_test_verify", 4, {8, 8, 8, 8}, run_verify},
    {"cuframes_test_linger", 5, {8, 8, 8, 8, 8}, run_linger},
    {"cuframes_test_poke", 3, {8, 8, 8}, run_poke},
};

EXPORTED int cuModuleLoadData(struct module **module, const void *image)
{
    struct context *context;
    struct module *made;
    int result;

    ENTER(cuModuleLoadData);
    result = current_context(&context);
    if (result)
        return result;
    if (!strstr(image, ".target"))
        return INVALID_IMAGE;
    made = malloc(sizeof(*made));
    if (made)
        made->text = strdup(image);
    if (!made || !made->text) {
        free(made);
        return OUT_OF_MEMORY;
    }
    *module = made;
    return SUCCESS;
}

EXPORTED int cuModuleUnload(struct module *module)
{
    ENTER(cuModuleUnload);
    free(module->text);
    free(module);
    return SUCCESS;
}

EXPORTED int cuModuleGetFunction(const struct function **function, struct module *module,
                                 const char *name)
{
    ENTER(cuModuleGetFunction);
    if (!strstr(module->text, name))
        return NOT_FOUND;
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        if (strcmp(functions[i].name, name) == 0) {
            *function = &functions[i];
            return SUCCESS;
        }
    return NOT_FOUND;
}

static int run_launch(struct context *context, void *payload)
{
    const struct launch *launch = payload;

    return launch->function->run(context->device, launch->parameters);
}

static const struct operation kernel = {"kernel", run_launch, NULL};

EXPORTED int cuLaunchKernel(const struct function *function, unsigned grid_x, unsigned grid_y,
                            unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                            unsigned shared, void *stream, void **parameters, void **extra)
{
    struct launch launch = {.function = function};

    ENTER(cuLaunchKernel);
    (void)shared;
    if (!grid_x || !grid_y || !grid_z || !block_x || !block_y || !block_z || extra)
        return INVALID_VALUE;
    for (unsigned i = 0; i < function->count; i++)
        memcpy(&launch.parameters[i], parameters[i], function->sizes[i]);
    return submit(stream, &kernel, &launch, sizeof(launch));
}
