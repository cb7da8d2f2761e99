/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mapping what a publisher sends to one that reads packets. It is a stranger's: descriptors are
 * checked (seals, sizes) before they are mapped, rings after; descriptions are copied out of
 * memory that nobody can change, and judged.
 */
#include "channel/packet_source.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/point.h"
#include "base/sys.h"
#include "channel/packet.h"
#include "channel/subscriber.h"
#include "wire/connection.h"
#include "wire/streams.h"

static void free_view(struct cf_packet_view *view)
{
    if (!view)
        return;
    cf_map_release(&view->map);
    free(view);
}

static int make_view(const struct cf_msg_packets *packets, int fd, struct cf_packet_view **view)
{
    struct cf_packet_view *new = cf_sys.calloc(1, sizeof(*new));
    int err;

    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    err = cf_shm_attach("packet ring", fd, (size_t)packets->memory_size, CF_SHM_MAKER_WRITES,
                        &new->map);
    if (!err && !cf_packet_reader_init(&new->reader, new->map.addr, (size_t)packets->memory_size,
                                       packets->number))
        err = cf_fail(CUFRAMES_ERR_PROTOCOL,
                      "the publisher's packet memory is not the ring number %u", packets->number);
    if (err) {
        free_view(new);
        return err;
    }
    *view = new;
    return CUFRAMES_OK;
}

static void free_source(cuframes_subscriber_t *s, struct cf_packet_source *source)
{
    if (!source)
        return;
    cf_attach_poll_remove(s, source->wake_socket);
    cf_close(&source->wake_socket);
    while (source->streams) {
        struct cf_packet_streams *streams = source->streams;

        source->streams = streams->next;
        free(streams);
    }
    free_view(source->ring);
    free_view(source->next_ring);
    cf_map_release(&source->page);
    free(source);
}

void cf_packets_fini(cuframes_subscriber_t *s)
{
    free_source(s, s->packets.source);
    free_source(s, s->packets.next_source);
    s->packets.source = s->packets.next_source = NULL;
    cf_packet_pool_unref(s->packets.pool);
    s->packets.pool = NULL;
}

int cf_packet_source_ask(cuframes_subscriber_t *s, bool wait)
{
    uint32_t flags = (wait ? CF_PACKETS_WAIT : 0) |
                     (s->flags & CUFRAMES_SUBSCRIBER_POLL ? CF_PACKETS_WAKE_SOCKET : 0);
    const struct cf_message message = {.type = CF_MSG_PACKETS_ENABLE,
                                       .packets_enable.flags = flags};
    int err = cf_connection_send(s->link->socket, &message, NULL, 0);

    if (!err) {
        s->packets.asked = true;
        s->packets.answered = false;
    }
    CF_POINT("packet_source.asked");
    return err;
}

static void tell_adopted(const cuframes_subscriber_t *s)
{
    const struct cf_message message = {.type = CF_MSG_PACKETS_ADOPTED};

    if (s->link)
        cf_link_answer(s->link, &message);
}

static int map_source(struct cf_packet_source *source, const struct cf_msg_packets *packets,
                      int *fds, size_t fd_count)
{
    int err = make_view(packets, fds[CF_PACKETS_FD_RING], &source->ring);

    if (!err)
        err = cf_shm_attach("packet page", fds[CF_PACKETS_FD_PAGE], sizeof(struct cf_packet_page),
                            CF_SHM_PEER_WRITES, &source->page);
    if (!err && fd_count > CF_PACKETS_FD_WAKE_SOCKET)
        source->wake_socket = cf_steal_fd(&fds[CF_PACKETS_FD_WAKE_SOCKET]);
    source->newest_generation = packets->generation;
    return err;
}

static int take_source(cuframes_subscriber_t *s, const struct cf_msg_packets *packets, int *fds,
                       size_t fd_count)
{
    struct cf_packet_source *new;
    int err;

    s->packets.answered = true;
    if (packets->number == 0) {
        s->packets.asked = false;
        return CUFRAMES_OK;
    }
    new = cf_sys.calloc(1, sizeof(*new));
    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    new->wake_socket = -1;
    if ((err = map_source(new, packets, fds, fd_count)) != 0) {
        free_source(s, new);
        return err;
    }
    cf_attach_poll_add(s, new->wake_socket);
    s->info.notes |= CUFRAMES_CHANNEL_PACKETS;
    free_source(s, s->packets.next_source);
    s->packets.next_source = new;
    CF_POINT("packet_source.mapped");
    tell_adopted(s);
    CF_POINT("packet_source.adopted");
    return CUFRAMES_OK;
}

/* The source of the connection that there is: messages are about it. */
static struct cf_packet_source *newest_source(const cuframes_subscriber_t *s)
{
    return s->packets.next_source ? s->packets.next_source : s->packets.source;
}

static int take_ring(cuframes_subscriber_t *s, const struct cf_msg_packets *packets, int fd)
{
    struct cf_packet_source *source = newest_source(s);
    struct cf_packet_view *view;
    int err = make_view(packets, fd, &view);

    if (err)
        return err;
    /* One that was not gone over to is of no use any more: the newest has all that is kept. */
    free_view(source->next_ring);
    source->next_ring = view;
    CF_POINT("packet_source.ring_mapped");
    tell_adopted(s);
    return CUFRAMES_OK;
}

static int copy_streams(const struct cf_msg_streams *message, int fd,
                        struct cf_packet_streams **streams)
{
    struct cf_packet_streams *new = cf_sys.calloc(1, sizeof(*new) + message->size);
    struct cf_map map = {.addr = NULL};
    int err;

    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    err = cf_shm_attach("stream description", fd, message->size, CF_SHM_NOBODY_WRITES, &map);
    if (!err) {
        memcpy(new->bytes, map.addr, message->size);
        cf_map_release(&map);
        new->generation = message->generation;
        err = cf_streams_decode(new->bytes, message->size, message->generation, new->streams,
                                &new->count);
    }
    if (err) {
        free(new);
        return err;
    }
    *streams = new;
    return CUFRAMES_OK;
}

static int take_streams(cuframes_subscriber_t *s, const struct cf_msg_streams *message, int fd)
{
    struct cf_packet_source *source = newest_source(s);
    struct cf_packet_streams **end = &source->streams;
    struct cf_packet_streams *streams;
    int err;

    if (source->streams_count >= CF_STREAMS_LISTED + CF_STREAMS_UNLISTED)
        return cf_fail(CUFRAMES_ERR_PROTOCOL, "the publisher describes too many streams unasked");
    if ((err = copy_streams(message, fd, &streams)) != 0)
        return err;
    for (; *end; end = &(*end)->next) {
        if ((*end)->generation >= streams->generation) {
            free(streams);
            return cf_fail(CUFRAMES_ERR_PROTOCOL,
                           "the publisher's packet generations are not in order");
        }
    }
    *end = streams;
    CF_POINT("packet_source.streams_taken");
    s->info.stream_count = streams->count;
    if (++source->streams_count < CF_STREAMS_LISTED)
        tell_adopted(s);
    else
        source->owes_answer = true;
    return CUFRAMES_OK;
}

int cf_packet_source_take(cuframes_subscriber_t *s, const struct cf_message *message, int *fds,
                          size_t fd_count)
{
    int err;

    if (message->type == CF_MSG_PACKETS && s->packets.asked && !s->packets.answered)
        err = take_source(s, &message->packets, fds, fd_count);
    else if (message->type == CF_MSG_PACKET_RING && s->packets.answered && newest_source(s))
        err = take_ring(s, &message->packets, fds[0]);
    else if (message->type == CF_MSG_STREAMS && s->packets.answered && newest_source(s))
        err = take_streams(s, &message->streams, fds[0]);
    else
        err = cf_fail(CUFRAMES_ERR_PROTOCOL, "the publisher sent a message out of order");
    for (size_t i = 0; i < fd_count; i++)
        cf_close(&fds[i]);
    return err;
}

static void orphan(cuframes_subscriber_t *s, struct cf_packet_source *source)
{
    if (!source)
        return;
    cf_attach_poll_remove(s, source->wake_socket);
    cf_close(&source->wake_socket);
}

void cf_packet_source_orphan(cuframes_subscriber_t *s)
{
    orphan(s, s->packets.source);
    orphan(s, s->packets.next_source);
    s->packets.asked = s->packets.answered = false;
}

void cf_packet_source_drop(cuframes_subscriber_t *s)
{
    free_source(s, s->packets.source);
    s->packets.source = NULL;
    s->packets.current = NULL;
    s->packets.flags |= CUFRAMES_PKT_FLAG_DISCONTINUITY;
}

void cf_packet_source_follow(cuframes_subscriber_t *s)
{
    struct cf_subscriber_packets *p = &s->packets;

    if (p->source)
        p->flags |= CUFRAMES_PKT_FLAG_DISCONTINUITY;
    free_source(s, p->source);
    p->source = p->next_source;
    p->next_source = NULL;
    p->current = NULL;
    p->overrun = false;
    p->missing = 0;
    p->lost = 0;
    cf_packets_begin(s);
}

void cf_packet_source_follow_ring(struct cf_packet_source *source)
{
    free_view(source->ring);
    source->ring = source->next_ring;
    source->next_ring = NULL;
    CF_POINT("packet_source.ring_followed");
}

const struct cf_packet_streams *cf_packet_source_find(const struct cf_packet_source *source,
                                                      uint32_t generation)
{
    const struct cf_packet_streams *streams = source->streams;

    while (streams && streams->generation != generation)
        streams = streams->next;
    return streams;
}

bool cf_packet_source_lacks(const struct cf_packet_source *source, uint32_t generation)
{
    const struct cf_packet_streams *streams = source->streams;

    while (streams && streams->generation < generation)
        streams = streams->next;
    return streams && streams->generation > generation;
}

void cf_packet_source_use(cuframes_subscriber_t *s, const struct cf_packet_streams *streams)
{
    struct cf_packet_source *source = s->packets.source;

    while (source->streams && source->streams->generation < streams->generation) {
        struct cf_packet_streams *old = source->streams;

        source->streams = old->next;
        source->streams_count--;
        free(old);
    }
    if (source->owes_answer && source->streams_count < CF_STREAMS_LISTED) {
        source->owes_answer = false;
        /* If a newer connection has been made, its publisher is not owed anything by this one. */
        if (!s->packets.next_source)
            tell_adopted(s);
    }
    s->packets.current = streams;
    CF_POINT("packet_source.generation_used");
}
