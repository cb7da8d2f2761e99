/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a publisher's memory is, and which way a subscriber gets at it.
 */
#include "memory/memory.h"

#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "memory/kinds.h"

/* ---- the publisher's choice ---- */

static int open_sharing(int32_t device, struct cf_cuda *current, struct cf_cuda **cuda)
{
    struct cf_cuda *opened;
    int err;

    if (current)
        opened = cf_cuda_ref(current);
    else if ((err = cf_cuda_open(device, &opened)) != 0)
        return err;
    err = cf_cuda_check_sharing(opened->driver, opened->device, opened->index);
    if (err) {
        cf_cuda_unref(opened);
        return err;
    }
    *cuda = opened;
    return CUFRAMES_OK;
}

static int choose_any(int32_t device, struct cf_cuda *current, struct cf_memory_place *place)
{
    const struct cf_driver *driver;
    int err = cf_driver_load(&driver);

    *place = (struct cf_memory_place){.memory = CUFRAMES_MEMORY_HOST};
    if (err && cf_driver_absent()) {
        cf_log(CUFRAMES_LOG_DEBUG, "no GPU here, frames will be in host memory");
        return CUFRAMES_OK;
    }
    if (!err)
        err = open_sharing(device, current, &place->cuda);
    if (!err) {
        place->memory = CUFRAMES_MEMORY_CUDA;
        return CUFRAMES_OK;
    }
    /* A GPU that was named and is not there, or has no memory left, is not left aside in silence. */
    if (err != CUFRAMES_ERR_CUDA)
        return err;
    place->notes = CUFRAMES_CHANNEL_GPU_UNUSED;
    cf_log(CUFRAMES_LOG_WARNING, "frames will be in host memory, though there is a GPU: %s",
           cuframes_last_error());
    return CUFRAMES_OK;
}

int cf_memory_choose(cuframes_memory_t wanted, int32_t device, struct cf_cuda *current,
                     struct cf_memory_place *place)
{
    struct cf_memory_place chosen = {.memory = wanted};
    int err;

    switch (wanted) {
    case CUFRAMES_MEMORY_HOST:
        err = CUFRAMES_OK;
        break;
    case CUFRAMES_MEMORY_CUDA:
        err = open_sharing(device, current, &chosen.cuda);
        break;
    case CUFRAMES_MEMORY_AUTO:
        err = choose_any(device, current, &chosen);
        break;
    default:
        err = cf_fail(CUFRAMES_ERR_INVALID_ARG, "unknown kind of memory %d", (int)wanted);
    }
    if (!err)
        *place = chosen;
    return err;
}

void cf_memory_place_fini(struct cf_memory_place *place)
{
    cf_cuda_unref(place->cuda);
    place->cuda = NULL;
}

int cf_memory_create(const struct cf_memory_place *place, size_t size, struct cf_memory **memory)
{
    if (place->memory == CUFRAMES_MEMORY_HOST)
        return cf_host_create(size, memory);
    return cf_vmm_create(place->cuda, size, memory);
}

int cf_memory_adopt(struct cf_cuda *cuda, void *const *pointers, uint32_t count, size_t *offset,
                    struct cf_memory **memory)
{
    return cf_vmm_adopt(cuda, pointers, count, offset, memory);
}

/* ---- the subscriber's way ---- */

/* The GPU that a subscriber reads with; `home` is the one that has the frames, -1 = none has. */
static int open_reader(const struct cf_memory_reader *reader, int home, struct cf_cuda **cuda)
{
    if (reader->current) {
        *cuda = cf_cuda_ref(reader->current);
        return CUFRAMES_OK;
    }
    if (reader->device != CUFRAMES_GPU_OF_FRAMES)
        return cf_cuda_open(reader->device, cuda);
    if (home < 0)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the frames are in host memory, so \"the GPU of "
                                                 "the frames\" is none: name one (cuda_device)");
    return cf_cuda_open(home, cuda);
}

/* Copies of what `from` has, which is consumed. */
static int import_staged(const struct cf_memory_source *source, struct cf_memory *from,
                         struct cf_cuda *to, struct cf_memory **memory)
{
    cf_log(CUFRAMES_LOG_INFO, "frames are copied for this subscriber (staged access)");
    return cf_staged_create(from, to, source->frame_size, source->frames, memory);
}

static int import_host_for_gpu(const struct cf_memory_source *source,
                               const struct cf_memory_reader *reader, struct cf_memory **memory)
{
    struct cf_memory *host;
    struct cf_cuda *cuda;
    int err = open_reader(reader, -1, &cuda);

    if (err)
        return err;
    err = cf_registered_import(cuda, source->fds[0], source->size, memory);
    if ((err == CUFRAMES_ERR_CUDA || err == CUFRAMES_ERR_NOT_FOUND) && reader->staged) {
        err = cf_host_import(source->fds[0], source->size, &host);
        if (!err)
            err = import_staged(source, host, cuda, memory);
    } else if (err == CUFRAMES_ERR_NOT_FOUND) {
        err = cf_fail(CUFRAMES_ERR_CUDA,
                      "GPU %d cannot read the frames, which are in host memory, in place "
                      "(attribute %d is 0): ask for copies (CUFRAMES_SUBSCRIBER_STAGED)",
                      cuda->index, CF_CU_ATTRIBUTE_READ_ONLY_HOST_REGISTER);
    }
    cf_cuda_unref(cuda);
    return err;
}

/* Copies out of the memory of the GPU `home`, to the host or to the GPU `to`. */
static int import_copies(const struct cf_memory_source *source, int home, struct cf_cuda *to,
                         struct cf_memory **memory)
{
    struct cf_memory *there;
    struct cf_cuda *cuda;
    int err = cf_cuda_open(home, &cuda);

    if (err)
        return err;
    err = cf_vmm_import(cuda, cuda->device, source, &there);
    cf_cuda_unref(cuda);
    return err ? err : import_staged(source, there, to, memory);
}

static int import_for_gpu(const struct cf_memory_source *source, int home,
                          const struct cf_memory_reader *reader, struct cf_memory **memory)
{
    struct cf_cuda *cuda;
    cf_CUdevice owner;
    int err = open_reader(reader, home, &cuda);

    if (err)
        return err;
    err = cf_cuda_device(cuda->driver, home, &owner);
    if (!err) {
        if (cuda->device == owner || cf_cuda_peers(cuda->driver, cuda->device, owner))
            err = cf_vmm_import(cuda, owner, source, memory);
        else if (reader->staged)
            err = import_copies(source, home, cuda, memory);
        else
            err = cf_fail(CUFRAMES_ERR_CUDA,
                          "the frames are on GPU %d and GPU %d has no access to its memory "
                          "(nvidia-smi topo -p2p r): read on GPU %d (cuda_device), or ask for "
                          "copies (CUFRAMES_SUBSCRIBER_STAGED)",
                          home, cuda->index, home);
    }
    cf_cuda_unref(cuda);
    return err;
}

static int import_gpu(const struct cf_memory_source *source, const struct cf_memory_reader *reader,
                      struct cf_memory **memory)
{
    char uuid[CUFRAMES_GPU_UUID_TEXT];
    const struct cf_driver *driver;
    int home, err;

    if (reader->wanted == CUFRAMES_MEMORY_HOST && !reader->staged)
        return cf_fail(CUFRAMES_ERR_FORMAT,
                       "the frames are in GPU memory, which the CPU cannot read in place: ask for "
                       "copies (CUFRAMES_SUBSCRIBER_STAGED)");
    if ((err = cf_driver_load(&driver)) != 0)
        return err;
    home = cf_cuda_find(driver, source->gpu_uuid);
    if (home < 0) {
        cf_cuda_uuid_text(source->gpu_uuid, uuid);
        return cf_fail(CUFRAMES_ERR_CUDA,
                       "the frames are on %s, which this process does not see: give it that GPU "
                       "too (CUDA_VISIBLE_DEVICES; docker run --gpus)",
                       uuid);
    }
    if (reader->wanted == CUFRAMES_MEMORY_HOST)
        return import_copies(source, home, NULL, memory);
    return import_for_gpu(source, home, reader, memory);
}

int cf_memory_import(const struct cf_memory_source *source, const struct cf_memory_reader *reader,
                     struct cf_memory **memory)
{
    if (source->memory == CUFRAMES_MEMORY_CUDA)
        return import_gpu(source, reader, memory);
    if (reader->wanted == CUFRAMES_MEMORY_CUDA)
        return import_host_for_gpu(source, reader, memory);
    return cf_host_import(source->fds[0], source->size, memory);
}

/* ---- frames ---- */

int cf_memory_get(struct cf_memory *memory, size_t offset, const void **data, uint32_t *stage)
{
    if (memory->kind->get)
        return memory->kind->get(memory, offset, data, stage);
    *data = (const uint8_t *)memory->base + offset;
    *stage = CF_NO_STAGE;
    return CUFRAMES_OK;
}

void cf_memory_put(struct cf_memory *memory, uint32_t stage)
{
    if (stage != CF_NO_STAGE)
        memory->kind->put(memory, stage);
}

void cf_memory_destroy(struct cf_memory *memory)
{
    if (memory)
        memory->kind->destroy(memory);
}
