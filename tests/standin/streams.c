/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Streams: each is a queue with a thread of its own, started with its first operation. An operation
 * runs when those before it in its stream are complete, and the places that it waits for are
 * reached: those of events, and for the NULL stream and the blocking ones those of each other.
 * Places are always earlier than who waits for them, so nothing waits in a circle.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "standin.h"

#define LEGACY_STREAM ((void *)1)
#define THREAD_STREAM ((void *)2)

struct task {
    struct task *next;
    const struct operation *operation;
    struct place *waits;
    unsigned wait_count;
    _Alignas(16) unsigned char payload[MAX_PAYLOAD];
};

struct stream {
    struct stream *next;
    struct context *context;
    unsigned refs; /* the context's list, the thread, places */
    bool blocking; /* orders itself with the NULL stream */
    bool ended, running;
    uint64_t submitted, done;
    struct task *first, **last;
};

static void stream_unref(struct stream *stream)
{
    if (--stream->refs == 0)
        free(stream);
}

struct context *context_of_stream(const struct stream *stream)
{
    return stream->context;
}

struct place tail_of_stream(struct stream *stream)
{
    stream->refs++;
    return (struct place){stream, stream->submitted};
}

void place_unref(struct place *place)
{
    if (place->stream)
        stream_unref(place->stream);
    *place = (struct place){0};
}

bool place_is_reached(const struct place *place)
{
    return !place->stream || place->stream->done >= place->number;
}

void wait_for_place(const struct place *place)
{
    while (!place_is_reached(place))
        pthread_cond_wait(&progress, &tables);
}

/* Without the lock. */
static void run_task(struct context *context, struct task *task)
{
    int result = context->error;
    unsigned delay = operation_delay_us();

    if (delay)
        usleep(delay);
    if (!result)
        result = enter_operation(task->operation->kind);
    if (!result)
        result = task->operation->run(context, task->payload);
    if (!result)
        return;
    /* The first error stays. */
    if (!context->error)
        context->error = result;
    if (task->operation->skip)
        task->operation->skip(context, task->payload);
}

static void free_task(struct task *task)
{
    for (unsigned i = 0; i < task->wait_count; i++)
        place_unref(&task->waits[i]);
    free(task->waits);
    free(task);
}

/* Locked, but not while the task runs. */
static void do_next(struct stream *stream)
{
    struct task *task = stream->first;

    for (unsigned i = 0; i < task->wait_count; i++)
        wait_for_place(&task->waits[i]);
    pthread_mutex_unlock(&tables);
    run_task(stream->context, task);
    pthread_mutex_lock(&tables);
    stream->first = task->next;
    if (!stream->first)
        stream->last = &stream->first;
    stream->done++;
    pthread_cond_broadcast(&progress);
    free_task(task);
}

static void *run_stream(void *argument)
{
    struct stream *stream = argument;

    pthread_mutex_lock(&tables);
    while (stream->first || !stream->ended) {
        if (stream->first)
            do_next(stream);
        else
            pthread_cond_wait(&progress, &tables);
    }
    stream->running = false;
    pthread_cond_broadcast(&progress);
    stream_unref(stream);
    pthread_mutex_unlock(&tables);
    return NULL;
}

static int start(struct stream *stream)
{
    pthread_t thread;

    if (stream->running)
        return SUCCESS;
    if (pthread_create(&thread, NULL, run_stream, stream) != 0)
        return OUT_OF_MEMORY;
    pthread_detach(thread);
    stream->running = true;
    stream->refs++;
    return SUCCESS;
}

int make_stream(struct context *context, bool blocking, struct stream **stream)
{
    struct stream *made = calloc(1, sizeof(*made));

    if (!made)
        return OUT_OF_MEMORY;
    *made = (struct stream){
        .context = context, .refs = 1, .blocking = blocking, .next = context->streams};
    made->last = &made->first;
    context->streams = made;
    *stream = made;
    return SUCCESS;
}

void end_stream(struct stream *stream)
{
    struct context *context = stream->context;

    for (struct stream **link = &context->streams; *link; link = &(*link)->next)
        if (*link == stream) {
            *link = stream->next;
            break;
        }
    if (context->null_stream == stream)
        context->null_stream = NULL;
    if (context->thread_stream == stream)
        context->thread_stream = NULL;
    stream->ended = true;
    pthread_cond_broadcast(&progress);
    stream_unref(stream);
}

void end_streams(struct context *context)
{
    while (context->streams) {
        struct stream *stream = context->streams;

        stream->refs++;
        end_stream(stream);
        while (stream->running)
            pthread_cond_wait(&progress, &tables);
        stream_unref(stream);
    }
}

int wait_for_context(struct context *context)
{
    struct stream *s = context->streams;

    while (s) {
        struct place place = {s, s->submitted};

        if (place_is_reached(&place)) {
            s = s->next;
            continue;
        }
        /* The list may change while the lock is let go: begin again. */
        s->refs++;
        wait_for_place(&place);
        place_unref(&place);
        s = context->streams;
    }
    return context->error;
}

static int default_stream(struct context *context, struct stream **slot, struct stream **stream)
{
    int result = *slot ? SUCCESS : make_stream(context, true, slot);

    if (!result)
        *stream = *slot;
    return result;
}

/* Those that were made, not the default ones. */
unsigned count_streams(const struct context *context)
{
    unsigned count = 0;

    for (const struct stream *s = context->streams; s; s = s->next)
        count += s != context->null_stream && s != context->thread_stream;
    return count;
}

int find_stream(void *handle, struct context *context, struct stream **stream)
{
    if (!handle || handle == LEGACY_STREAM)
        return default_stream(context, &context->null_stream, stream);
    if (handle == THREAD_STREAM)
        return default_stream(context, &context->thread_stream, stream);
    /* A stream of another context is as good, as long as that lives. */
    for (struct context *c = all_contexts(); c; c = c->next)
        for (struct stream *s = c->streams; s; s = s->next)
            if (s == handle) {
                *stream = s;
                return SUCCESS;
            }
    return INVALID_HANDLE;
}

static void add_wait(struct task *task, struct stream *stream)
{
    struct place place = {stream, stream->submitted};

    if (place_is_reached(&place))
        return;
    task->waits[task->wait_count++] = tail_of_stream(stream);
}

/* The NULL stream waits for the blocking ones, and they for it. */
static void add_null_stream_waits(struct task *task, struct stream *stream)
{
    struct context *context = stream->context;

    if (!stream->blocking)
        return;
    if (stream != context->null_stream) {
        if (context->null_stream)
            add_wait(task, context->null_stream);
        return;
    }
    for (struct stream *s = context->streams; s; s = s->next)
        if (s->blocking && s != stream)
            add_wait(task, s);
}

static struct task *make_task(struct stream *stream, const struct place *after)
{
    struct task *task = calloc(1, sizeof(*task));
    unsigned most = 2;

    for (struct stream *s = stream->context->streams; s; s = s->next)
        most++;
    if (task)
        task->waits = calloc(most, sizeof(*task->waits));
    if (!task || !task->waits) {
        free(task);
        return NULL;
    }
    add_null_stream_waits(task, stream);
    if (after && !place_is_reached(after)) {
        after->stream->refs++;
        task->waits[task->wait_count++] = *after;
    }
    return task;
}

int append(struct stream *stream, const struct operation *operation, const void *payload,
           size_t size, const struct place *after)
{
    struct task *task;

    if (size > MAX_PAYLOAD) {
        fprintf(stderr, "stand-in: an operation with %zu bytes\n", size);
        abort();
    }
    if (start(stream) != SUCCESS)
        return OUT_OF_MEMORY;
    task = make_task(stream, after);
    if (!task)
        return OUT_OF_MEMORY;
    task->operation = operation;
    if (size)
        memcpy(task->payload, payload, size);
    *stream->last = task;
    stream->last = &task->next;
    stream->submitted++;
    pthread_cond_broadcast(&progress);
    return SUCCESS;
}

int submit(void *handle, const struct operation *operation, const void *payload, size_t size)
{
    struct context *context;
    struct stream *stream;
    int result;

    pthread_mutex_lock(&tables);
    result = current_context(&context);
    if (!result)
        result = find_stream(handle, context, &stream);
    if (!result)
        result = stream->context->error;
    if (!result)
        result = append(stream, operation, payload, size, NULL);
    pthread_mutex_unlock(&tables);
    return result;
}

int submit_and_wait(const struct operation *operation, const void *payload, size_t size)
{
    struct context *context;
    struct place place;
    int result = submit(NULL, operation, payload, size);

    if (result)
        return result;
    pthread_mutex_lock(&tables);
    result = current_context(&context);
    if (!result) {
        place = tail_of_stream(context->null_stream);
        wait_for_place(&place);
        place_unref(&place);
        result = context->error;
    }
    pthread_mutex_unlock(&tables);
    return result;
}
