/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Contexts: a primary one for each device, others on demand, and a stack of current ones for each
 * thread. An operation that failed makes every later call in its context fail with its error.
 */
#include <stdlib.h>

#include "standin.h"

#define MAX_STACK 32

static struct context *contexts;
/* As cuDevicePrimaryCtxSetFlags() left them; they outlive the context. */
static unsigned primary_flags[MAX_DEVICES];
static _Thread_local struct context *stack[MAX_STACK];
static _Thread_local int depth;

pthread_mutex_t tables = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t progress = PTHREAD_COND_INITIALIZER;

int cuDevicePrimaryCtxRetain(struct context **context, int device);
int cuDevicePrimaryCtxRelease_v2(int device);
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active);
int cuDevicePrimaryCtxSetFlags(int device, unsigned flags);
int cuCtxCreate_v2(struct context **context, unsigned flags, int device);
int cuCtxDestroy_v2(struct context *context);
int cuCtxSetCurrent(struct context *context);
int cuCtxGetCurrent(struct context **context);
int cuCtxPushCurrent_v2(struct context *context);
int cuCtxPopCurrent_v2(struct context **context);
int cuCtxGetDevice(int *device);
int cuCtxGetApiVersion(struct context *context, unsigned *version);
int cuCtxEnablePeerAccess(struct context *peer, unsigned flags);
int cuCtxDisablePeerAccess(struct context *peer);

/* Locked. */
static bool is_context(const struct context *wanted)
{
    for (const struct context *c = contexts; c; c = c->next)
        if (c == wanted)
            return true;
    return false;
}

struct context *all_contexts(void)
{
    return contexts;
}

static struct context *make_context(int device, bool primary)
{
    struct context *context = calloc(1, sizeof(*context));

    if (!context)
        return NULL;
    context->device = device;
    context->primary = primary;
    context->alive = true;
    context->next = contexts;
    contexts = context;
    return context;
}

static struct context *primary_of(int device)
{
    for (struct context *c = contexts; c; c = c->next)
        if (c->primary && c->alive && c->device == device)
            return c;
    return NULL;
}

static void end_context(struct context *context)
{
    end_streams(context);
    context->alive = false;
}

static int usable(struct context *context)
{
    if (!context)
        return INVALID_CONTEXT;
    return context->alive ? context->error : CONTEXT_IS_DESTROYED;
}

int current_context(struct context **context)
{
    *context = depth ? stack[depth - 1] : NULL;
    return usable(*context);
}

EXPORTED int cuDevicePrimaryCtxRetain(struct context **context, int device)
{
    struct context *primary;

    ENTER(cuDevicePrimaryCtxRetain);
    if (!is_device(device))
        return INVALID_DEVICE;
    pthread_mutex_lock(&tables);
    primary = primary_of(device);
    if (!primary)
        primary = make_context(device, true);
    if (primary) {
        primary->retained++;
        *context = primary;
    }
    pthread_mutex_unlock(&tables);
    return primary ? SUCCESS : OUT_OF_MEMORY;
}

EXPORTED int cuDevicePrimaryCtxRelease_v2(int device)
{
    struct context *primary;
    int result = SUCCESS;

    ENTER(cuDevicePrimaryCtxRelease_v2);
    if (!is_device(device))
        return INVALID_DEVICE;
    pthread_mutex_lock(&tables);
    primary = primary_of(device);
    if (!primary)
        result = INVALID_CONTEXT;
    else if (--primary->retained == 0)
        end_context(primary);
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active)
{
    ENTER(cuDevicePrimaryCtxGetState);
    if (!is_device(device))
        return INVALID_DEVICE;
    pthread_mutex_lock(&tables);
    *flags = primary_flags[device];
    *active = primary_of(device) != NULL;
    pthread_mutex_unlock(&tables);
    return SUCCESS;
}

EXPORTED int cuDevicePrimaryCtxSetFlags(int device, unsigned flags)
{
    ENTER(cuDevicePrimaryCtxSetFlags);
    if (!is_device(device))
        return INVALID_DEVICE;
    pthread_mutex_lock(&tables);
    primary_flags[device] = flags;
    pthread_mutex_unlock(&tables);
    return SUCCESS;
}

static int push(struct context *context)
{
    if (depth == MAX_STACK)
        return INVALID_VALUE;
    stack[depth++] = context;
    return SUCCESS;
}

EXPORTED int cuCtxCreate_v2(struct context **context, unsigned flags, int device)
{
    struct context *made;
    int result;

    ENTER(cuCtxCreate_v2);
    (void)flags;
    if (!is_device(device))
        return INVALID_DEVICE;
    pthread_mutex_lock(&tables);
    made = make_context(device, false);
    result = made ? push(made) : OUT_OF_MEMORY;
    if (!result)
        *context = made;
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuCtxDestroy_v2(struct context *context)
{
    int result = SUCCESS;

    ENTER(cuCtxDestroy_v2);
    pthread_mutex_lock(&tables);
    if (!is_context(context) || context->primary)
        result = INVALID_CONTEXT;
    else if (!context->alive)
        result = CONTEXT_IS_DESTROYED;
    else
        end_context(context);
    pthread_mutex_unlock(&tables);
    /* The calling thread's own is taken from its stack; other threads find a destroyed one. */
    if (!result && depth && stack[depth - 1] == context)
        depth--;
    return result;
}

/* A stale context may be made current; it is using it that fails. */
static int known(struct context *context)
{
    bool is;

    pthread_mutex_lock(&tables);
    is = is_context(context);
    pthread_mutex_unlock(&tables);
    return is ? SUCCESS : INVALID_CONTEXT;
}

EXPORTED int cuCtxSetCurrent(struct context *context)
{
    int result;

    ENTER(cuCtxSetCurrent);
    if (!context) {
        depth -= depth > 0;
        return SUCCESS;
    }
    result = known(context);
    if (result)
        return result;
    if (depth == 0)
        return push(context);
    stack[depth - 1] = context;
    return SUCCESS;
}

EXPORTED int cuCtxGetCurrent(struct context **context)
{
    ENTER(cuCtxGetCurrent);
    *context = depth ? stack[depth - 1] : NULL;
    return SUCCESS;
}

EXPORTED int cuCtxPushCurrent_v2(struct context *context)
{
    int result;

    ENTER(cuCtxPushCurrent_v2);
    result = known(context);
    return result ? result : push(context);
}

EXPORTED int cuCtxPopCurrent_v2(struct context **context)
{
    ENTER(cuCtxPopCurrent_v2);
    if (depth == 0)
        return INVALID_CONTEXT;
    depth--;
    if (context)
        *context = stack[depth];
    return SUCCESS;
}

EXPORTED int cuCtxGetDevice(int *device)
{
    struct context *context = depth ? stack[depth - 1] : NULL;

    ENTER(cuCtxGetDevice);
    if (!context)
        return INVALID_CONTEXT;
    *device = context->device;
    return SUCCESS;
}

EXPORTED int cuCtxGetApiVersion(struct context *context, unsigned *version)
{
    int result;

    ENTER(cuCtxGetApiVersion);
    if (!context)
        context = depth ? stack[depth - 1] : NULL;
    result = context ? known(context) : INVALID_CONTEXT;
    if (!result)
        *version = 3020;
    return result;
}

EXPORTED int cuCtxEnablePeerAccess(struct context *peer, unsigned flags)
{
    struct context *context;
    int result;

    ENTER(cuCtxEnablePeerAccess);
    result = current_context(&context);
    if (result || flags)
        return result ? result : INVALID_VALUE;
    if (known(peer) || peer == context)
        return INVALID_CONTEXT;
    if (!can_reach(context->device, peer->device))
        return PEER_ACCESS_UNSUPPORTED;
    if (context->peers[peer->device])
        return PEER_ACCESS_ALREADY_ENABLED;
    context->peers[peer->device] = true;
    return SUCCESS;
}

EXPORTED int cuCtxDisablePeerAccess(struct context *peer)
{
    struct context *context;
    int result;

    ENTER(cuCtxDisablePeerAccess);
    result = current_context(&context);
    if (result)
        return result;
    if (known(peer) || !context->peers[peer->device])
        return PEER_ACCESS_NOT_ENABLED;
    context->peers[peer->device] = false;
    return SUCCESS;
}
