/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls for streams and events, and the operations of streams that move no pictures: host
 * functions, and words written and waited for in memory.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "standin.h"

#define NON_BLOCKING 1U
#define NO_TIMING    2U

struct event {
    struct event *next;
    unsigned refs;
    struct context *context;
    bool timed;
    struct place place;
    int64_t reached_ns;
};

static struct event *events;

int cuStreamCreate(struct stream **stream, unsigned flags);
int cuStreamCreateWithPriority(struct stream **stream, unsigned flags, int priority);
int cuStreamDestroy_v2(struct stream *stream);
int cuStreamSynchronize(void *stream);
int cuStreamQuery(void *stream);
int cuStreamGetCtx(void *stream, struct context **context);
int cuStreamWaitEvent(void *stream, struct event *event, unsigned flags);
int cuStreamAddCallback(void *stream, void (*callback)(void *, int, void *), void *user,
                        unsigned flags);
int cuLaunchHostFunc(void *stream, void (*function)(void *), void *user);
int cuStreamWriteValue32(void *stream, uint64_t address, uint32_t value, unsigned flags);
int cuStreamWriteValue32_v2(void *stream, uint64_t address, uint32_t value, unsigned flags);
int cuStreamWriteValue64(void *stream, uint64_t address, uint64_t value, unsigned flags);
int cuStreamWriteValue64_v2(void *stream, uint64_t address, uint64_t value, unsigned flags);
int cuStreamWaitValue32(void *stream, uint64_t address, uint32_t value, unsigned flags);
int cuStreamWaitValue32_v2(void *stream, uint64_t address, uint32_t value, unsigned flags);
int cuEventCreate(struct event **event, unsigned flags);
int cuEventDestroy_v2(struct event *event);
int cuEventRecord(struct event *event, void *stream);
int cuEventQuery(struct event *event);
int cuEventSynchronize(struct event *event);
int cuEventElapsedTime(float *ms, struct event *start, struct event *end);
int cuEventElapsedTime_v2(float *ms, struct event *start, struct event *end);
int cuCtxSynchronize(void);

/* --- streams ------------------------------------------------------------------------------------ */
static int create(struct stream **stream, unsigned flags)
{
    struct context *context;
    int result;

    if (flags & ~NON_BLOCKING)
        return INVALID_VALUE;
    pthread_mutex_lock(&tables);
    result = current_context(&context);
    if (!result)
        result = make_stream(context, !(flags & NON_BLOCKING), stream);
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuStreamCreate(struct stream **stream, unsigned flags)
{
    ENTER(cuStreamCreate);
    return create(stream, flags);
}

EXPORTED int cuStreamCreateWithPriority(struct stream **stream, unsigned flags, int priority)
{
    ENTER(cuStreamCreateWithPriority);
    (void)priority;
    return create(stream, flags);
}

/* The stream of a handle in the current context. Locked. */
static int find(void *handle, struct context **context, struct stream **stream)
{
    int result = current_context(context);

    return result ? result : find_stream(handle, *context, stream);
}

EXPORTED int cuStreamDestroy_v2(struct stream *handle)
{
    struct context *context;
    struct stream *stream;
    int result;

    ENTER(cuStreamDestroy_v2);
    pthread_mutex_lock(&tables);
    result = current_context(&context);
    /* Also in a context that has failed. */
    if (context && (!result || result == context->error)) {
        result = handle ? find_stream(handle, context, &stream) : INVALID_HANDLE;
        if (!result)
            end_stream(stream);
    }
    pthread_mutex_unlock(&tables);
    return result;
}

/* Locked; the lock is let go while it waits. */
static int wait_for_stream(struct stream *stream)
{
    struct context *context = context_of_stream(stream);
    struct place place = tail_of_stream(stream);

    wait_for_place(&place);
    place_unref(&place);
    return context->error;
}

EXPORTED int cuStreamSynchronize(void *handle)
{
    struct context *context;
    struct stream *stream;
    int result;

    ENTER(cuStreamSynchronize);
    pthread_mutex_lock(&tables);
    result = find(handle, &context, &stream);
    if (!result)
        result = wait_for_stream(stream);
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuStreamQuery(void *handle)
{
    struct context *context;
    struct stream *stream;
    int result;

    ENTER(cuStreamQuery);
    pthread_mutex_lock(&tables);
    result = find(handle, &context, &stream);
    if (!result) {
        struct place place = tail_of_stream(stream);

        result = place_is_reached(&place) ? context_of_stream(stream)->error : NOT_READY;
        place_unref(&place);
    }
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuStreamGetCtx(void *handle, struct context **found)
{
    struct context *context;
    struct stream *stream;
    int result;

    ENTER(cuStreamGetCtx);
    pthread_mutex_lock(&tables);
    result = find(handle, &context, &stream);
    if (!result)
        *found = context_of_stream(stream);
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuCtxSynchronize(void)
{
    struct context *context;
    int result;

    ENTER(cuCtxSynchronize);
    pthread_mutex_lock(&tables);
    result = current_context(&context);
    if (!result)
        result = wait_for_context(context);
    pthread_mutex_unlock(&tables);
    return result;
}

/* --- events ------------------------------------------------------------------------------------- */
static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool is_event(const struct event *wanted)
{
    for (const struct event *e = events; e; e = e->next)
        if (e == wanted)
            return true;
    return false;
}

unsigned count_stream_objects(void)
{
    unsigned count = 0;

    for (const struct event *e = events; e; e = e->next)
        count++;
    for (struct context *c = all_contexts(); c; c = c->next)
        count += count_streams(c);
    return count;
}

static void event_unref(struct event *event)
{
    if (--event->refs > 0)
        return;
    place_unref(&event->place);
    free(event);
}

EXPORTED int cuEventCreate(struct event **event, unsigned flags)
{
    struct context *context;
    struct event *made = NULL;
    int result;

    ENTER(cuEventCreate);
    pthread_mutex_lock(&tables);
    result = current_context(&context);
    if (!result) {
        made = calloc(1, sizeof(*made));
        result = made ? SUCCESS : OUT_OF_MEMORY;
    }
    if (!result) {
        *made = (struct event){
            .next = events, .refs = 1, .context = context, .timed = !(flags & NO_TIMING)};
        events = made;
        *event = made;
    }
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuEventDestroy_v2(struct event *event)
{
    int result = INVALID_HANDLE;

    ENTER(cuEventDestroy_v2);
    pthread_mutex_lock(&tables);
    for (struct event **link = &events; *link; link = &(*link)->next)
        if (*link == event) {
            *link = event->next;
            event_unref(event);
            result = SUCCESS;
            break;
        }
    pthread_mutex_unlock(&tables);
    return result;
}

/* Operation: the event's place is reached. */
static int run_record(struct context *context, void *payload)
{
    struct event *event = *(struct event **)payload;

    (void)context;
    pthread_mutex_lock(&tables);
    event->reached_ns = now_ns();
    event_unref(event);
    pthread_mutex_unlock(&tables);
    return SUCCESS;
}

static void skip_record(struct context *context, void *payload)
{
    run_record(context, payload);
}

static const struct operation record = {"event", run_record, skip_record};

static int append_record(struct event *event, struct stream *stream)
{
    int result;

    if (event->context != context_of_stream(stream))
        return INVALID_HANDLE;
    event->refs++;
    result = append(stream, &record, &event, sizeof(event), NULL);
    if (result) {
        event_unref(event);
        return result;
    }
    place_unref(&event->place);
    event->place = tail_of_stream(stream);
    return SUCCESS;
}

EXPORTED int cuEventRecord(struct event *event, void *handle)
{
    struct context *context;
    struct stream *stream;
    int result;

    ENTER(cuEventRecord);
    pthread_mutex_lock(&tables);
    result = is_event(event) ? find(handle, &context, &stream) : INVALID_HANDLE;
    if (!result)
        result = context_of_stream(stream)->error;
    if (!result)
        result = append_record(event, stream);
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuEventQuery(struct event *event)
{
    int result = INVALID_HANDLE;

    ENTER(cuEventQuery);
    pthread_mutex_lock(&tables);
    if (is_event(event))
        result = place_is_reached(&event->place) ? event->context->error : NOT_READY;
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuEventSynchronize(struct event *event)
{
    int result = INVALID_HANDLE;

    ENTER(cuEventSynchronize);
    pthread_mutex_lock(&tables);
    if (is_event(event)) {
        struct context *context = event->context;

        event->refs++;
        wait_for_place(&event->place);
        event_unref(event);
        result = context->error;
    }
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuEventElapsedTime(float *ms, struct event *start, struct event *end)
{
    int result = SUCCESS;

    ENTER(cuEventElapsedTime);
    pthread_mutex_lock(&tables);
    if (!is_event(start) || !is_event(end) || !start->timed || !end->timed)
        result = INVALID_HANDLE;
    else if (!place_is_reached(&start->place) || !place_is_reached(&end->place))
        result = NOT_READY;
    else
        *ms = (float)(end->reached_ns - start->reached_ns) / 1e6F;
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuEventElapsedTime_v2(float *ms, struct event *start, struct event *end)
{
    return cuEventElapsedTime(ms, start, end);
}

static int run_nothing(struct context *context, void *payload)
{
    (void)context, (void)payload;
    return SUCCESS;
}

static const struct operation wait_for_event = {"wait", run_nothing, NULL};

EXPORTED int cuStreamWaitEvent(void *handle, struct event *event, unsigned flags)
{
    struct context *context;
    struct stream *stream;
    int result;

    ENTER(cuStreamWaitEvent);
    (void)flags;
    pthread_mutex_lock(&tables);
    result = is_event(event) ? find(handle, &context, &stream) : INVALID_HANDLE;
    if (!result)
        result = append(stream, &wait_for_event, NULL, 0, &event->place);
    pthread_mutex_unlock(&tables);
    return result;
}

/* --- host functions ----------------------------------------------------------------------------- */
struct host_call {
    void (*function)(void *);
    void (*callback)(void *stream, int status, void *user);
    void *stream, *user;
};

static int run_host_call(struct context *context, void *payload)
{
    struct host_call *call = payload;

    in_host_function = true;
    if (call->function)
        call->function(call->user);
    else
        call->callback(call->stream, context->error, call->user);
    in_host_function = false;
    return SUCCESS;
}

/* A callback is told of the error; a host function is not called. */
static void skip_host_call(struct context *context, void *payload)
{
    if (((struct host_call *)payload)->callback)
        run_host_call(context, payload);
}

static const struct operation host_call = {"host", run_host_call, skip_host_call};

EXPORTED int cuLaunchHostFunc(void *stream, void (*function)(void *), void *user)
{
    struct host_call call = {.function = function, .user = user};

    ENTER(cuLaunchHostFunc);
    return function ? submit(stream, &host_call, &call, sizeof(call)) : INVALID_VALUE;
}

EXPORTED int cuStreamAddCallback(void *stream, void (*callback)(void *, int, void *), void *user,
                                 unsigned flags)
{
    struct host_call call = {.callback = callback, .stream = stream, .user = user};

    ENTER(cuStreamAddCallback);
    if (!callback || flags)
        return INVALID_VALUE;
    return submit(stream, &host_call, &call, sizeof(call));
}

/* --- words in memory ---------------------------------------------------------------------------- */
struct word {
    uint64_t address, value;
    unsigned size, flags;
};

static int run_write(struct context *context, void *payload)
{
    const struct word *word = payload;
    void *at;
    int result = device_memory(context->device, word->address, word->size, WRITE_ACCESS, &at);

    if (result)
        return ILLEGAL_ADDRESS;
    if (word->size == 4)
        atomic_store((_Atomic uint32_t *)at, (uint32_t)word->value);
    else
        atomic_store((_Atomic uint64_t *)at, word->value);
    return SUCCESS;
}

static bool has_come(const struct word *word, uint32_t value)
{
    switch (word->flags & 3) {
    case 0:
        return (int32_t)(value - (uint32_t)word->value) >= 0;
    case 1:
        return value == (uint32_t)word->value;
    case 2:
        return value & word->value;
    default:
        return ~(value | word->value);
    }
}

static int run_await(struct context *context, void *payload)
{
    const struct word *word = payload;
    void *at;
    int result = device_memory(context->device, word->address, 4, READ_ACCESS, &at);

    while (!result && !context->error && !has_come(word, atomic_load((_Atomic uint32_t *)at)))
        usleep(20);
    return result ? ILLEGAL_ADDRESS : SUCCESS;
}

static const struct operation write_word = {"write", run_write, NULL};
static const struct operation await_word = {"wait", run_await, NULL};

static int submit_word(void *stream, const struct operation *operation, struct word word)
{
    struct context *context;
    void *at;
    int result = current_context(&context);

    if (!result && word.address % word.size)
        result = INVALID_VALUE;
    if (!result)
        result = device_memory(context->device, word.address, word.size, READ_ACCESS, &at);
    return result ? result : submit(stream, operation, &word, sizeof(word));
}

EXPORTED int cuStreamWriteValue32_v2(void *stream, uint64_t address, uint32_t value, unsigned flags)
{
    ENTER(cuStreamWriteValue32_v2);
    return submit_word(stream, &write_word, (struct word){address, value, 4, flags});
}

EXPORTED int cuStreamWriteValue32(void *stream, uint64_t address, uint32_t value, unsigned flags)
{
    return cuStreamWriteValue32_v2(stream, address, value, flags);
}

EXPORTED int cuStreamWriteValue64_v2(void *stream, uint64_t address, uint64_t value, unsigned flags)
{
    ENTER(cuStreamWriteValue64_v2);
    return submit_word(stream, &write_word, (struct word){address, value, 8, flags});
}

EXPORTED int cuStreamWriteValue64(void *stream, uint64_t address, uint64_t value, unsigned flags)
{
    return cuStreamWriteValue64_v2(stream, address, value, flags);
}

EXPORTED int cuStreamWaitValue32_v2(void *stream, uint64_t address, uint32_t value, unsigned flags)
{
    ENTER(cuStreamWaitValue32_v2);
    return submit_word(stream, &await_word, (struct word){address, value, 4, flags});
}

EXPORTED int cuStreamWaitValue32(void *stream, uint64_t address, uint32_t value, unsigned flags)
{
    return cuStreamWaitValue32_v2(stream, address, value, flags);
}
