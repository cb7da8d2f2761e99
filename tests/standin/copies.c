/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies and fills. Each is an operation of a stream: both sides are checked when the call is made,
 * and again when it runs, when what was unmapped in between faults.
 */
#include <string.h>

#include "standin.h"

enum memory_type { TYPE_HOST = 1, TYPE_DEVICE = 2, TYPE_UNIFIED = 4 };

/* Rows of bytes from one place to another. A place on the host need not be known. */
struct copy {
    uint64_t from, to;
    bool from_host, to_host;
    size_t from_pitch, to_pitch, row, rows;
};

struct fill {
    uint64_t to;
    size_t count;
    uint32_t value;
    unsigned size;
};

/* The driver's description of a copy of two dimensions. */
struct copy_2d {
    size_t from_x, from_y;
    int from_type;
    const void *from_host;
    uint64_t from_device;
    void *from_array;
    size_t from_pitch;
    size_t to_x, to_y;
    int to_type;
    void *to_host;
    uint64_t to_device;
    void *to_array;
    size_t to_pitch;
    size_t width, height;
};

int cuMemcpy(uint64_t to, uint64_t from, size_t size);
int cuMemcpyAsync(uint64_t to, uint64_t from, size_t size, void *stream);
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t size);
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t size);
int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t size);
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size, void *stream);
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, void *stream);
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t size, void *stream);
int cuMemcpy2D_v2(const struct copy_2d *copy);
int cuMemcpy2DAsync_v2(const struct copy_2d *copy, void *stream);
int cuMemsetD8_v2(uint64_t to, unsigned char value, size_t count);
int cuMemsetD8Async(uint64_t to, unsigned char value, size_t count, void *stream);
int cuMemsetD32_v2(uint64_t to, unsigned value, size_t count);
int cuMemsetD32Async(uint64_t to, unsigned value, size_t count, void *stream);

static int place(int device, uint64_t address, bool host, size_t size, int access, void **found)
{
    return host ? any_memory(device, address, size, access, found)
                : device_memory(device, address, size, access, found);
}

static size_t extent(size_t pitch, size_t row, size_t rows)
{
    return (rows - 1) * pitch + row;
}

/* Where both sides are for this device. */
static int find_sides(int device, const struct copy *copy, void **from, void **to)
{
    int result = place(device, copy->from, copy->from_host,
                       extent(copy->from_pitch, copy->row, copy->rows), READ_ACCESS, from);

    return result ? result
                  : place(device, copy->to, copy->to_host,
                          extent(copy->to_pitch, copy->row, copy->rows), WRITE_ACCESS, to);
}

static int run_copy(struct context *context, void *payload)
{
    const struct copy *copy = payload;
    void *from, *to;

    if (find_sides(context->device, copy, &from, &to))
        return ILLEGAL_ADDRESS;
    if (copy->row == copy->from_pitch && copy->row == copy->to_pitch) {
        memmove(to, from, copy->row * copy->rows);
        return SUCCESS;
    }
    for (size_t i = 0; i < copy->rows; i++)
        memcpy((char *)to + i * copy->to_pitch, (const char *)from + i * copy->from_pitch,
               copy->row);
    return SUCCESS;
}

static const struct operation copy_operation = {"copy", run_copy, NULL};

/* A wild pointer is found at once, as the driver finds it; one without the right when it is used. */
static int check_copy(const struct copy *copy)
{
    struct context *context;
    void *from, *to;
    int result = current_context(&context);

    if (!result)
        result = find_sides(context->device, copy, &from, &to);
    return result == ILLEGAL_ADDRESS ? SUCCESS : result;
}

static int copy_async(struct copy copy, void *stream)
{
    int result = check_copy(&copy);

    return result ? result : submit(stream, &copy_operation, &copy, sizeof(copy));
}

static int copy_now(struct copy copy)
{
    int result = check_copy(&copy);

    return result ? result : submit_and_wait(&copy_operation, &copy, sizeof(copy));
}

static struct copy line(uint64_t to, bool to_host, uint64_t from, bool from_host, size_t size)
{
    return (struct copy){from, to, from_host, to_host, size, size, size, 1};
}

EXPORTED int cuMemcpy(uint64_t to, uint64_t from, size_t size)
{
    ENTER(cuMemcpy);
    return size ? copy_now(line(to, true, from, true, size)) : SUCCESS;
}

EXPORTED int cuMemcpyAsync(uint64_t to, uint64_t from, size_t size, void *stream)
{
    ENTER(cuMemcpyAsync);
    return size ? copy_async(line(to, true, from, true, size), stream) : SUCCESS;
}

EXPORTED int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t size)
{
    ENTER(cuMemcpyHtoD_v2);
    return size ? copy_now(line(to, false, (uintptr_t)from, true, size)) : SUCCESS;
}

EXPORTED int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t size)
{
    ENTER(cuMemcpyDtoH_v2);
    return size ? copy_now(line((uintptr_t)to, true, from, false, size)) : SUCCESS;
}

EXPORTED int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t size)
{
    ENTER(cuMemcpyDtoD_v2);
    return size ? copy_now(line(to, false, from, false, size)) : SUCCESS;
}

EXPORTED int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size, void *stream)
{
    ENTER(cuMemcpyHtoDAsync_v2);
    return size ? copy_async(line(to, false, (uintptr_t)from, true, size), stream) : SUCCESS;
}

EXPORTED int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, void *stream)
{
    ENTER(cuMemcpyDtoHAsync_v2);
    return size ? copy_async(line((uintptr_t)to, true, from, false, size), stream) : SUCCESS;
}

EXPORTED int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t size, void *stream)
{
    ENTER(cuMemcpyDtoDAsync_v2);
    return size ? copy_async(line(to, false, from, false, size), stream) : SUCCESS;
}

static bool is_linear(int type)
{
    return type == TYPE_HOST || type == TYPE_DEVICE || type == TYPE_UNIFIED;
}

static int copy_of_2d(const struct copy_2d *d, struct copy *copy)
{
    if (!is_linear(d->from_type) || !is_linear(d->to_type))
        return NOT_SUPPORTED;
    *copy = (struct copy){
        .from = d->from_type == TYPE_HOST ? (uintptr_t)d->from_host : d->from_device,
        .to = d->to_type == TYPE_HOST ? (uintptr_t)d->to_host : d->to_device,
        .from_host = d->from_type != TYPE_DEVICE,
        .to_host = d->to_type != TYPE_DEVICE,
        .from_pitch = d->from_pitch ? d->from_pitch : d->width,
        .to_pitch = d->to_pitch ? d->to_pitch : d->width,
        .row = d->width,
        .rows = d->height,
    };
    copy->from += d->from_y * copy->from_pitch + d->from_x;
    copy->to += d->to_y * copy->to_pitch + d->to_x;
    return copy->from_pitch < d->width || copy->to_pitch < d->width ? INVALID_VALUE : SUCCESS;
}

EXPORTED int cuMemcpy2D_v2(const struct copy_2d *description)
{
    struct copy copy;
    int result;

    ENTER(cuMemcpy2D_v2);
    result = copy_of_2d(description, &copy);
    return result || !copy.row || !copy.rows ? result : copy_now(copy);
}

EXPORTED int cuMemcpy2DAsync_v2(const struct copy_2d *description, void *stream)
{
    struct copy copy;
    int result;

    ENTER(cuMemcpy2DAsync_v2);
    result = copy_of_2d(description, &copy);
    return result || !copy.row || !copy.rows ? result : copy_async(copy, stream);
}

/* --- fills -------------------------------------------------------------------------------------- */
static int run_fill(struct context *context, void *payload)
{
    const struct fill *fill = payload;
    void *to;

    if (device_memory(context->device, fill->to, fill->count * fill->size, WRITE_ACCESS, &to))
        return ILLEGAL_ADDRESS;
    if (fill->size == 1)
        memset(to, (int)fill->value, fill->count);
    else
        for (size_t i = 0; i < fill->count; i++)
            ((uint32_t *)to)[i] = fill->value;
    return SUCCESS;
}

static const struct operation fill_operation = {"copy", run_fill, NULL};

static int submit_fill(struct fill fill, void *stream, bool wait)
{
    struct context *context;
    void *to;
    int result = current_context(&context);

    if (!result)
        result = device_memory(context->device, fill.to, fill.count * fill.size, WRITE_ACCESS, &to);
    if (result && result != ILLEGAL_ADDRESS)
        return result;
    return wait ? submit_and_wait(&fill_operation, &fill, sizeof(fill))
                : submit(stream, &fill_operation, &fill, sizeof(fill));
}

EXPORTED int cuMemsetD8_v2(uint64_t to, unsigned char value, size_t count)
{
    ENTER(cuMemsetD8_v2);
    return submit_fill((struct fill){to, count, value, 1}, NULL, true);
}

EXPORTED int cuMemsetD8Async(uint64_t to, unsigned char value, size_t count, void *stream)
{
    ENTER(cuMemsetD8Async);
    return submit_fill((struct fill){to, count, value, 1}, stream, false);
}

EXPORTED int cuMemsetD32_v2(uint64_t to, unsigned value, size_t count)
{
    ENTER(cuMemsetD32_v2);
    return submit_fill((struct fill){to, count, value, 4}, NULL, true);
}

EXPORTED int cuMemsetD32Async(uint64_t to, unsigned value, size_t count, void *stream)
{
    ENTER(cuMemsetD32Async);
    return submit_fill((struct fill){to, count, value, 4}, stream, false);
}
