/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Symmetric memory: one process per GPU, each with memory that all the others read in place.
 *
 *   cuframes group --name demo --size 4 -- symmetric-memory [MEBIBYTES]
 *
 * Each rank allocates exportable GPU memory and fills it with a pattern of its own; all gather the
 * descriptors; each maps all the others' memory read-only, compares every word, and measures how
 * fast it can read it. Rank r uses GPU r modulo the number of GPUs. Exit code 77 without a GPU.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cuframes/cuframes.h>

#include "driver.h"

#define TIMEOUT_MS 60000
#define MOST_RANKS 64
#define COPIES     20

static struct driver driver;
static int rank = -1;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "symmetric-memory: rank %d: %s: %s\n", rank, what, why);
    exit(1);
}

/* A call of the driver. */
static void check(const char *what, driver_result result)
{
    const char *text = "unknown error";

    if (result == 0)
        return;
    driver.error_string(result, &text);
    fail(what, text);
}

/* A call of cuframes. */
static void check_group(const char *what, int result)
{
    if (result < 0)
        fail(what, cuframes_last_error());
}

/* Memory with an address in this process. */
struct memory {
    driver_handle handle;
    driver_pointer pointer;
    size_t size;
};

static void map(struct memory *memory, driver_device device, int access_flags)
{
    struct driver_access access = {{DRIVER_LOCATION_DEVICE, device}, access_flags};

    check("reserving addresses", driver.reserve(&memory->pointer, memory->size, 0, 0, 0));
    check("mapping", driver.map(memory->pointer, memory->size, 0, memory->handle, 0));
    check("allowing access", driver.set_access(memory->pointer, memory->size, &access, 1));
}

static void unmap(struct memory *memory)
{
    check("unmapping", driver.unmap(memory->pointer, memory->size));
    check("giving addresses back", driver.free_reserved(memory->pointer, memory->size));
    check("giving memory back", driver.release(memory->handle));
}

static struct memory allocate(driver_device device, size_t wanted)
{
    struct driver_allocation allocation = {
        .type = DRIVER_ALLOCATION_PINNED,
        .handle_types = DRIVER_HANDLE_DESCRIPTOR,
        .location = {DRIVER_LOCATION_DEVICE, device},
    };
    struct memory memory;
    size_t unit;

    check("asking for the granularity",
          driver.granularity(&unit, &allocation, DRIVER_GRANULARITY_RECOMMENDED));
    memory.size = (wanted + unit - 1) / unit * unit;
    check("allocating", driver.create(&memory.handle, memory.size, &allocation, 0));
    map(&memory, device, DRIVER_ACCESS_READ_WRITE);
    return memory;
}

/* The descriptor stays the caller's. */
static struct memory import(driver_device device, int fd, size_t size)
{
    struct memory memory = {.size = size};

    check("importing",
          driver.import_handle(&memory.handle, (void *)(intptr_t)fd, DRIVER_HANDLE_DESCRIPTOR));
    map(&memory, device, DRIVER_ACCESS_READ);
    return memory;
}

static uint32_t word_of(int whose, size_t i)
{
    return (uint32_t)i * UINT32_C(2654435761) + (uint32_t)whose * UINT32_C(40503);
}

static void fill(const struct memory *memory, uint32_t *words)
{
    for (size_t i = 0; i < memory->size / sizeof(*words); i++)
        words[i] = word_of(rank, i);
    check("filling", driver.to_device(memory->pointer, words, memory->size));
}

static size_t count_wrong(const struct memory *memory, int whose, uint32_t *words)
{
    size_t wrong = 0;

    check("reading", driver.to_host(words, memory->pointer, memory->size));
    for (size_t i = 0; i < memory->size / sizeof(*words); i++)
        wrong += words[i] != word_of(whose, i);
    return wrong;
}

/* Bytes a second of copies from a peer's memory into memory of this GPU. */
static double measure(const struct memory *from, const struct memory *to)
{
    int64_t began;

    check("copying", driver.on_device(to->pointer, from->pointer, from->size));
    check("waiting", driver.synchronize());
    began = cuframes_now_ns();
    for (int i = 0; i < COPIES; i++)
        check("copying", driver.on_device(to->pointer, from->pointer, from->size));
    check("waiting", driver.synchronize());
    return (double)COPIES * (double)from->size * 1e9 / (double)(cuframes_now_ns() - began);
}

static cuframes_group_t *join(void)
{
    const char *fd = getenv("CUFRAMES_GROUP_FD");
    const char *number = getenv("CUFRAMES_GROUP_RANK");
    const char *size = getenv("CUFRAMES_GROUP_SIZE");
    cuframes_group_config_t config = {.name = getenv("CUFRAMES_GROUP_NAME"),
                                      .timeout_ms = TIMEOUT_MS};
    cuframes_group_t *group;

    if (!number || !size)
        fail("joining", "start it with: cuframes group --name NAME --size N -- symmetric-memory");
    config.rank = atoi(number);
    config.size = atoi(size);
    if (config.size > MOST_RANKS)
        fail("joining", "at most 64 ranks");
    check_group("joining", fd ? cuframes_group_create_from_fd(&config, atoi(fd), &group)
                              : cuframes_group_create(&config, &group));
    rank = cuframes_group_rank(group);
    return group;
}

/* This rank's GPU; with a current context. */
static driver_device take_device(char *name, int size)
{
    driver_context context;
    driver_device device;
    int count, vmm = 0, descriptors = 0;

    check("counting GPUs", driver.device_count(&count));
    if (count == 0)
        fail("counting GPUs", "there is none");
    check("taking a GPU", driver.device_get(&device, rank % count));
    check("naming the GPU", driver.device_name(name, size, device));
    check("asking for VMM", driver.device_attribute(&vmm, DRIVER_SUPPORTS_VMM, device));
    check("asking for descriptors",
          driver.device_attribute(&descriptors, DRIVER_SUPPORTS_DESCRIPTORS, device));
    if (!vmm || !descriptors)
        fail(name, "this GPU cannot share memory by descriptor");
    check("making a context", driver.context_retain(&context, device));
    check("using the context", driver.context_set(context));
    return device;
}

/* Maps what every other rank gave, compares it, and says how fast it can be read. */
static size_t read_peers(int ranks, driver_device device, const int *fds, const int *devices,
                         const struct memory *mine, const char *name)
{
    const size_t size = mine->size;
    struct memory scratch = allocate(device, size);
    uint32_t *words = malloc(size);
    size_t wrong = 0;

    if (!words)
        fail("reading", "out of memory");
    for (int peer = 0; peer < ranks; peer++) {
        struct memory theirs;
        int can = 1;

        if (peer == rank)
            continue;
        if (devices[peer] != device)
            check("asking for peer access", driver.can_access_peer(&can, device, devices[peer]));
        if (!can) {
            printf("rank %d (GPU %d) cannot read GPU %d of rank %d: no peer access\n", rank, device,
                   devices[peer], peer);
            wrong++;
            continue;
        }
        theirs = import(device, fds[peer], size);
        wrong += count_wrong(&theirs, peer, words);
        printf("rank %d (GPU %d, %s) reads rank %d (GPU %d): %zu MiB, %.1f GB/s\n", rank, device,
               name, peer, devices[peer], size >> 20, measure(&theirs, &scratch) / 1e9);
        unmap(&theirs);
    }
    free(words);
    unmap(&scratch);
    return wrong;
}

int main(int argc, char **argv)
{
    size_t wanted = (argc > 1 ? strtoul(argv[1], NULL, 10) : 64) << 20;
    const char *missing = driver_load(&driver);
    int fd, fds[MOST_RANKS], devices[MOST_RANKS], ranks;
    cuframes_group_t *group;
    driver_device device;
    struct memory mine;
    uint32_t *words;
    size_t wrong;
    char name[128];

    if (missing) {
        fprintf(stderr, "symmetric-memory: %s\n", missing);
        return 77;
    }
    group = join();
    ranks = cuframes_group_size(group);
    check("starting the driver", driver.init(0));
    device = take_device(name, sizeof(name));
    mine = allocate(device, wanted);
    words = malloc(mine.size);
    if (!words)
        fail("filling", "out of memory");
    fill(&mine, words);
    free(words);

    check("exporting", driver.export_handle(&fd, mine.handle, DRIVER_HANDLE_DESCRIPTOR, 0));
    check_group("exchanging devices",
                cuframes_group_all_gather(group, &device, sizeof(device), devices, TIMEOUT_MS));
    /* It returns when all have given: everybody's memory is filled. */
    check_group("exchanging descriptors",
                cuframes_group_all_gather_fds(group, &fd, 1, fds, MOST_RANKS, NULL, TIMEOUT_MS));
    close(fd);
    wrong = read_peers(ranks, device, fds, devices, &mine, name);
    for (int i = 0; i < ranks; i++)
        close(fds[i]);
    printf("rank %d: %zu words wrong\n", rank, wrong);
    fflush(stdout);

    /* Nobody gives memory back that another still reads. */
    check_group("waiting for the others", cuframes_group_barrier(group, 0, TIMEOUT_MS));
    unmap(&mine);
    driver.context_release(device);
    cuframes_group_destroy(group);
    return wrong == 0 ? 0 : 1;
}
