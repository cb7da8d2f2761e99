/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Marks, copies and words in a program's streams. An event belongs to one context and can only be
 * recorded in streams of that context, so a mark is made again when the stream is another's.
 */
#include "cuda/stream.h"

#include <sched.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "cuda/failure.h"

/* Bounds of a look at an event before sleeping, and how often one that gave it up tries again. */
#define SPIN_MIN_NS 10000
#define SPIN_MAX_NS 200000
#define SPIN_RETRY  64

static bool is_default(const void *stream)
{
    return stream == NULL || stream == CF_CU_STREAM_LEGACY || stream == CF_CU_STREAM_PER_THREAD;
}

/* Enters the context that a stream belongs to, to be left with cf_cuda_leave(). On failure with the
 * call that failed. */
static cf_CUresult enter_stream(const struct cf_cuda *cuda, void *stream, cf_CUcontext *context,
                                const char **call)
{
    const struct cf_driver *driver = cuda->driver;
    cf_CUresult result;

    *call = "cuCtxPushCurrent";
    *context = cuda->context;
    result = driver->cuCtxPushCurrent_v2(cuda->context);
    if (result != CF_CU_SUCCESS || is_default(stream))
        return result;
    *call = "cuStreamGetCtx";
    result = driver->cuStreamGetCtx(stream, context);
    if (result == CF_CU_SUCCESS && *context == cuda->context)
        return CF_CU_SUCCESS;
    cf_cuda_leave(cuda);
    if (result != CF_CU_SUCCESS)
        return result;
    *call = "cuCtxPushCurrent";
    return driver->cuCtxPushCurrent_v2(*context);
}

void cf_cuda_mark_fini(struct cf_cuda *cuda, struct cf_cuda_mark *mark)
{
    if (mark->event && cf_cuda_is_ours(cuda))
        cuda->driver->cuEventDestroy_v2(mark->event);
    *mark = (struct cf_cuda_mark){0};
}

/* Makes the event, in the current context. It sleeps instead of spinning, and keeps no time. */
static cf_CUresult make_event(struct cf_cuda *cuda, cf_CUcontext context, struct cf_cuda_mark *mark)
{
    cf_CUresult result;

    if (mark->event && mark->context == context)
        return CF_CU_SUCCESS;
    cf_cuda_mark_fini(cuda, mark);
    result = cuda->driver->cuEventCreate(&mark->event,
                                         CF_CU_EVENT_BLOCKING_SYNC | CF_CU_EVENT_DISABLE_TIMING);
    if (result != CF_CU_SUCCESS)
        mark->event = NULL;
    else
        mark->context = context;
    return result;
}

static int mark_failed(const struct cf_cuda *cuda, cf_CUresult result, const char *call,
                       bool *fatal)
{
    if (fatal)
        *fatal = cf_cuda_is_fatal(result);
    return cf_cuda_failed(cuda->driver, result, call, "cannot tell when the stream is done");
}

static int after_fork(void)
{
    return cf_fail(CUFRAMES_ERR_CUDA,
                   "CUDA was begun before fork() and does not work in the child: start it with "
                   "exec");
}

int cf_cuda_mark(struct cf_cuda *cuda, void *stream, struct cf_cuda_mark *mark, bool *fatal)
{
    cf_CUcontext context;
    const char *call;
    cf_CUresult result;

    if (!cf_cuda_is_ours(cuda))
        return after_fork();
    result = enter_stream(cuda, stream, &context, &call);
    if (result != CF_CU_SUCCESS)
        return mark_failed(cuda, result, call, fatal);
    call = "cuEventCreate";
    result = make_event(cuda, context, mark);
    if (result == CF_CU_SUCCESS) {
        call = "cuEventRecord";
        result = cuda->driver->cuEventRecord(mark->event, stream);
    }
    cf_cuda_leave(cuda);
    return result == CF_CU_SUCCESS ? CUFRAMES_OK : mark_failed(cuda, result, call, fatal);
}

/* How long to look now: as long as has paid lately; and one that gave it up tries again sometimes. */
static int64_t spin_budget(struct cf_cuda_patience *patience)
{
    if (!patience || !cf_thread_may_spin())
        return 0;
    if (patience->spin_ns < SPIN_MIN_NS && patience->sleeps++ % SPIN_RETRY == 0)
        patience->spin_ns = SPIN_MAX_NS;
    return patience->spin_ns < SPIN_MIN_NS ? 0 : patience->spin_ns;
}

/* Looks at the event until it is done or failed, or the budget is spent: CF_CU_NOT_READY. To
 * be woken by the driver takes longer than most of what a frame waits for. */
static cf_CUresult spin(const struct cf_cuda *cuda, const struct cf_cuda_mark *mark,
                        struct cf_cuda_patience *patience)
{
    const int64_t budget = spin_budget(patience);
    const int64_t until = cf_now_ns() + budget;
    cf_CUresult result;

    if (budget == 0)
        return CF_CU_NOT_READY;
    do {
        result = cuda->driver->cuEventQuery(mark->event);
        if (result != CF_CU_NOT_READY) {
            patience->spin_ns = budget * 2 < SPIN_MAX_NS ? budget * 2 : SPIN_MAX_NS;
            return result;
        }
        /* Lets a thread run that has work to do. */
        sched_yield();
    } while (cf_now_ns() < until);
    patience->spin_ns = budget / 2;
    return result;
}

int cf_cuda_await(struct cf_cuda *cuda, const struct cf_cuda_mark *mark,
                  struct cf_cuda_patience *patience)
{
    cf_CUresult result = spin(cuda, mark, patience);

    if (result == CF_CU_NOT_READY)
        result = cuda->driver->cuEventSynchronize(mark->event);

    if (result != CF_CU_SUCCESS)
        return cf_cuda_failed(cuda->driver, result, "cuEventSynchronize",
                              "the work of the stream has failed");
    return CUFRAMES_OK;
}

int cf_cuda_map_host(struct cf_cuda *cuda, void *address, size_t size, unsigned flags,
                     cf_CUdeviceptr *pointer)
{
    const char *call = "cuMemHostRegister";
    cf_CUresult result;
    int err = cf_cuda_enter(cuda);

    if (err)
        return err;
    result = cuda->driver->cuMemHostRegister_v2(
        address, size, CF_CU_HOST_REGISTER_PORTABLE | CF_CU_HOST_REGISTER_DEVICEMAP | flags);
    if (result == CF_CU_SUCCESS) {
        call = "cuMemHostGetDevicePointer";
        result = cuda->driver->cuMemHostGetDevicePointer_v2(pointer, address, 0);
        if (result != CF_CU_SUCCESS)
            cuda->driver->cuMemHostUnregister(address);
    }
    cf_cuda_leave(cuda);
    if (result != CF_CU_SUCCESS)
        return cf_cuda_failed(cuda->driver, result, call, "cannot map host memory for GPU %d",
                              cuda->index);
    return CUFRAMES_OK;
}

void cf_cuda_unmap_host(struct cf_cuda *cuda, void *address)
{
    if (!cf_cuda_is_ours(cuda) || cf_cuda_enter(cuda) != CUFRAMES_OK)
        return;
    cuda->driver->cuMemHostUnregister(address);
    cf_cuda_leave(cuda);
}

/* Begins a call in a stream. */
static int begin(const struct cf_cuda *cuda, void *stream, const char *what)
{
    cf_CUcontext context;
    const char *call;
    cf_CUresult result;

    if (!cf_cuda_is_ours(cuda))
        return after_fork();
    result = enter_stream(cuda, stream, &context, &call);
    return result == CF_CU_SUCCESS ? CUFRAMES_OK
                                   : cf_cuda_failed(cuda->driver, result, call, "%s", what);
}

static int end(const struct cf_cuda *cuda, cf_CUresult result, const char *call, const char *what)
{
    cf_cuda_leave(cuda);
    return result == CF_CU_SUCCESS ? CUFRAMES_OK
                                   : cf_cuda_failed(cuda->driver, result, call, "%s", what);
}

bool cf_cuda_clear_word(struct cf_cuda *cuda, void *stream, cf_CUdeviceptr address)
{
    cf_CUresult result;

    if (!cuda->driver->cuStreamWriteValue32_v2 ||
        begin(cuda, stream, "cannot use the stream") != CUFRAMES_OK)
        return false;
    result = cuda->driver->cuStreamWriteValue32_v2(stream, address, 0, CF_CU_WRITE_VALUE_DEFAULT);
    cf_cuda_leave(cuda);
    return result == CF_CU_SUCCESS;
}

int cf_cuda_copy_in(struct cf_cuda *cuda, void *stream, void *to, const void *from, size_t size)
{
    static const char what[] = "cannot copy a frame to the GPU";
    const cf_CUdeviceptr target = (cf_CUdeviceptr)(uintptr_t)to;
    int err = begin(cuda, stream, what);

    if (err)
        return err;
    return end(cuda, cuda->driver->cuMemcpyHtoDAsync_v2(target, from, size, stream),
               "cuMemcpyHtoDAsync", what);
}

int cf_cuda_copy_out(struct cf_cuda *cuda, void *stream, void *to, const void *from, size_t size)
{
    static const char what[] = "cannot copy a frame from the GPU";
    const cf_CUdeviceptr source = (cf_CUdeviceptr)(uintptr_t)from;
    int err = begin(cuda, stream, what);

    if (err)
        return err;
    return end(cuda, cuda->driver->cuMemcpyDtoHAsync_v2(to, source, size, stream),
               "cuMemcpyDtoHAsync", what);
}

int cf_cuda_copy_on(struct cf_cuda *cuda, void *stream, void *to, const void *from, size_t size)
{
    static const char what[] = "cannot copy a frame on the GPU";
    const cf_CUdeviceptr target = (cf_CUdeviceptr)(uintptr_t)to;
    const cf_CUdeviceptr source = (cf_CUdeviceptr)(uintptr_t)from;
    int err = begin(cuda, stream, what);

    if (err)
        return err;
    return end(cuda, cuda->driver->cuMemcpyDtoDAsync_v2(target, source, size, stream),
               "cuMemcpyDtoDAsync", what);
}

int cf_cuda_finish(struct cf_cuda *cuda, void *stream)
{
    static const char what[] = "the work of the stream has failed";
    int err = begin(cuda, stream, what);

    if (err)
        return err;
    return end(cuda, cuda->driver->cuStreamSynchronize(stream), "cuStreamSynchronize", what);
}

int cf_cuda_fetch(struct cf_cuda *cuda, void *to, const void *from, size_t size)
{
    static const char what[] = "cannot copy a frame from the GPU";
    const struct cf_driver *driver = cuda->driver;
    const char *call = "cuStreamCreate";
    cf_CUstream stream;
    cf_CUresult result;
    int err = begin(cuda, NULL, what);

    if (err)
        return err;
    result = driver->cuStreamCreate(&stream, CF_CU_STREAM_NON_BLOCKING);
    if (result == CF_CU_SUCCESS) {
        call = "cuMemcpyDtoHAsync";
        result = driver->cuMemcpyDtoHAsync_v2(to, (cf_CUdeviceptr)(uintptr_t)from, size, stream);
        if (result == CF_CU_SUCCESS) {
            call = "cuStreamSynchronize";
            result = driver->cuStreamSynchronize(stream);
        }
        driver->cuStreamDestroy_v2(stream);
    }
    return end(cuda, result, call, what);
}

/* Has the stream, of `cuda`'s context, wait for what is in the other now. */
static int follow(struct cf_cuda *cuda, cf_CUstream stream, void *other)
{
    struct cf_cuda_mark mark = {0};
    cf_CUresult result;
    int err = cf_cuda_mark(cuda, other, &mark, NULL);

    if (err)
        return err;
    if ((err = cf_cuda_enter(cuda)) == 0) {
        result = cuda->driver->cuStreamWaitEvent(stream, mark.event, 0);
        cf_cuda_leave(cuda);
        if (result != CF_CU_SUCCESS)
            err = mark_failed(cuda, result, "cuStreamWaitEvent", NULL);
    }
    cf_cuda_mark_fini(cuda, &mark);
    return err;
}

int cf_cuda_join(struct cf_cuda *cuda, void *const *streams, uint32_t count, void **joined)
{
    static const char what[] = "cannot make a stream";
    cf_CUstream stream;
    cf_CUresult result;
    int err = begin(cuda, NULL, what);

    if (err)
        return err;
    result = cuda->driver->cuStreamCreate(&stream, CF_CU_STREAM_NON_BLOCKING);
    if ((err = end(cuda, result, "cuStreamCreate", what)) != 0)
        return err;
    for (uint32_t i = 0; i < count && !err; i++)
        err = follow(cuda, stream, streams[i]);
    if (err)
        cf_cuda_end_stream(cuda, stream);
    else
        *joined = stream;
    return err;
}

void cf_cuda_end_stream(struct cf_cuda *cuda, void *stream)
{
    if (!stream || !cf_cuda_is_ours(cuda) || cf_cuda_enter(cuda) != CUFRAMES_OK)
        return;
    cuda->driver->cuStreamDestroy_v2(stream);
    cf_cuda_leave(cuda);
}
