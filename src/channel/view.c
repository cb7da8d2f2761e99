/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A subscriber's mapping of one generation, and the connection that protects it.
 *
 * What arrives is a stranger's: the message has been checked by the decoder, the descriptors are
 * checked here (seals, sizes) before they are mapped, the ring's header after.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sys.h"
#include "channel/subscriber.h"
#include "wire/connection.h"

struct cf_link *cf_link_new(int socket)
{
    struct cf_link *link = cf_sys.calloc(1, sizeof(*link));
    struct cf_peer_credentials credentials;

    if (!link) {
        cf_close(&socket);
        cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
        return NULL;
    }
    link->refs = 1;
    link->socket = socket;
    if (cf_connection_credentials(socket, &credentials) == CUFRAMES_OK)
        link->pid = credentials.pid;
    cf_fork_guard_add(&link->guard, socket);
    return link;
}

void cf_link_answer(const struct cf_link *link, const struct cf_message *message)
{
    int err = cf_connection_send(link->socket, message, NULL, 0);

    if (!err || err == CUFRAMES_ERR_DISCONNECTED)
        return;
    cf_log(CUFRAMES_LOG_WARNING, "ending a connection that cannot be answered on: %s",
           cuframes_last_error());
    shutdown(link->socket, SHUT_RDWR);
}

struct cf_link *cf_link_ref(struct cf_link *link)
{
    atomic_fetch_add_explicit(&link->refs, 1, memory_order_relaxed);
    return link;
}

void cf_link_unref(struct cf_link *link)
{
    bool in_child;

    if (!link || atomic_fetch_sub_explicit(&link->refs, 1, memory_order_acq_rel) != 1)
        return;
    /* In a process that forked off the socket is closed already, and its number may be another's. */
    in_child = link->guard.fd < 0;
    cf_fork_guard_remove(&link->guard);
    if (!in_child)
        cf_close(&link->socket);
    free(link);
}

static int map_frames(const cuframes_subscriber_t *s, struct cf_view *view,
                      const struct cf_msg_attached *attached, const int *fds)
{
    int frames[CUFRAMES_MAX_SLOTS] = {fds[CF_FD_FRAMES]};
    const int *more = fds + CF_FD_WAKE_SOCKET + (attached->flags & CF_ATTACH_WAKE_SOCKET ? 1 : 0);
    const struct cf_memory_source source = {
        .memory = view->info.memory,
        .gpu_uuid = view->info.gpu_uuid,
        .fds = frames,
        .fd_count = attached->memory_count,
        .size = attached->frames_size,
        .frame_size = view->info.layout.size,
        .frames = view->max_holds,
    };
    const struct cf_memory_reader reader = {
        .wanted = (cuframes_memory_t)s->memory,
        .device = s->device,
        .current = s->current_cuda,
        .staged = s->flags & CUFRAMES_SUBSCRIBER_STAGED,
    };

    memcpy(frames + 1, more, (attached->memory_count - 1) * sizeof(*more));
    return cf_memory_import(&source, &reader, &view->memory);
}

static int map_all(const cuframes_subscriber_t *s, struct cf_view *view,
                   const struct cf_msg_attached *attached, const int *fds)
{
    int err;

    if ((err = cf_shm_attach("control memory", fds[CF_FD_CONTROL], attached->control_size,
                             CF_SHM_MAKER_WRITES, &view->control)) != 0 ||
        (err = cf_shm_attach("hold page", fds[CF_FD_HOLDS], sizeof(struct cf_hold_page),
                             CF_SHM_PEER_WRITES, &view->page)) != 0 ||
        (err = map_frames(s, view, attached, fds)) != 0)
        return err;
    if (!cf_reader_init(&view->reader, view->control.addr, view->control.size, view->page.addr,
                        (uint32_t)view->info.slots, view->info.generation))
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the publisher's control memory is not a ring of %d slots, generation %u",
                       view->info.slots, view->info.generation);
    view->reader.notify_publisher = view->info.policy == CUFRAMES_POLICY_STRICT_WAIT;
    return CUFRAMES_OK;
}

int cf_view_create(cuframes_subscriber_t *subscriber, const struct cf_msg_attached *attached,
                   int *fds, size_t fd_count, struct cf_view **view)
{
    struct cf_view *new = cf_sys.calloc(1, sizeof(*new));
    int err = CUFRAMES_OK;

    if (!new) {
        err = cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    } else {
        new->refs = 1;
        new->frames_fd = -1;
        new->info = attached->info;
        new->info.pid = subscriber->link->pid;
        new->slot_stride = attached->slot_stride;
        new->slot_offset = attached->slot_offset;
        new->max_holds = attached->max_holds;
        err = map_all(subscriber, new, attached, fds);
        if (!err && (subscriber->flags & CUFRAMES_SUBSCRIBER_FRAME_FD))
            new->frames_fd = cf_steal_fd(&fds[CF_FD_FRAMES]);
    }
    for (size_t i = 0; i < fd_count; i++)
        cf_close(&fds[i]);
    if (err) {
        cf_view_unref(new);
        return err;
    }
    new->link = cf_link_ref(subscriber->link);
    atomic_fetch_add_explicit(&subscriber->refs, 1, memory_order_relaxed);
    new->subscriber = subscriber;
    *view = new;
    return CUFRAMES_OK;
}

struct cf_view *cf_view_ref(struct cf_view *view)
{
    atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
    return view;
}

void cf_view_unref(struct cf_view *view)
{
    if (!view || atomic_fetch_sub_explicit(&view->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (view->page_at)
        cf_cuda_unmap_host(view->memory->cuda, view->page.addr);
    cf_memory_destroy(view->memory);
    cf_map_release(&view->control);
    cf_map_release(&view->page);
    cf_close(&view->frames_fd);
    cf_link_unref(view->link);
    if (view->subscriber)
        cf_subscriber_unref(view->subscriber);
    free(view);
}
