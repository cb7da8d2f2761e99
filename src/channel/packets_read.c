/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading packets: where to begin, what the program gets next, how it waits for it, and what
 * becomes of it when it is too slow.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/point.h"
#include "channel/packet.h"
#include "channel/subscriber.h"
#include "wire/connection.h"

/* As in subscriber.c: between looks at the connection. */
#define LOOK_MS 50
/* For the answer of a publisher that is asked for packets, where the program says nothing else. */
#define ANSWER_MS 1000
/* After an overrun the oldest packets are about to go, too: so many parts of what is kept are not
 * gone back to. */
#define MARGIN_PARTS 8
#define MAX_WAKES    64

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    /* Relaxed: a figure for display, written by one thread. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static const struct cf_packet_reader *reader_of(const cuframes_subscriber_t *s)
{
    return &s->packets.source->ring->reader;
}

/* ---- where to read ---- */

static uint64_t find_start(const struct cf_packet_reader *reader,
                           const cuframes_packet_options_t *options)
{
    switch (options->start) {
    case CUFRAMES_PACKETS_FROM_OLDEST_KEY:
        return cf_packet_reader_oldest_start(reader, 0);
    case CUFRAMES_PACKETS_FROM_PRE_ROLL:
        return cf_packet_reader_start_before(reader,
                                             cf_now_ns() - options->pre_roll_ms * CF_NS_PER_MS);
    default:
        return cf_packet_reader_newest_start(reader);
    }
}

/* After an overrun: one that wants the present goes on there; one that wants all it can have goes
 * on as early as it can hope to keep up. */
static uint64_t find_restart(const struct cf_packet_reader *reader,
                             const cuframes_packet_options_t *options)
{
    uint64_t start = CF_PACKET_NONE;

    if (options->start != CUFRAMES_PACKETS_FROM_NEWEST_KEY)
        start = cf_packet_reader_oldest_start(reader, MARGIN_PARTS);
    return start != CF_PACKET_NONE ? start : cf_packet_reader_newest_start(reader);
}

static void go_to(struct cf_subscriber_packets *p, uint64_t start, uint64_t head)
{
    p->skipping = start == CF_PACKET_NONE;
    p->wanted = p->skipping ? head : start;
}

void cf_packets_begin(cuframes_subscriber_t *s)
{
    /* The head first: a start that is published after the search is behind it. */
    const uint64_t head = cf_packet_reader_head(reader_of(s));

    go_to(&s->packets, find_start(reader_of(s), &s->packets.options), head);
}

/* Packets from `from` to the one that is wanted now are lost, which is told once. */
static int note_overrun(cuframes_subscriber_t *s, uint64_t from)
{
    struct cf_subscriber_packets *p = &s->packets;

    /* One that is late again before it has read a packet has lost both stretches. */
    if (!p->overrun)
        p->overrun_from = from;
    p->overrun = true;
    p->flags |= CUFRAMES_PKT_FLAG_DISCONTINUITY;
    return cf_fail(CUFRAMES_ERR_PACKET_OVERRUN,
                   "%llu packets of %s were overwritten before they were read: read faster, or "
                   "give the publisher a larger packet ring",
                   (unsigned long long)(p->wanted - p->overrun_from), s->key);
}

/* The packet that is wanted is gone from the ring. */
static int overrun(cuframes_subscriber_t *s)
{
    struct cf_subscriber_packets *p = &s->packets;
    const uint64_t head = cf_packet_reader_head(reader_of(s));
    const uint64_t from = p->wanted;
    const bool waited = p->skipping;

    go_to(p, find_restart(reader_of(s), &p->options), head);
    /* Nothing was to be read from here yet. */
    return waited ? CUFRAMES_OK : note_overrun(s, from);
}

/* Reading goes on at packet `seq`. */
static void resume(cuframes_subscriber_t *s, uint64_t seq)
{
    struct cf_subscriber_packets *p = &s->packets;

    p->skipping = false;
    if (!p->overrun)
        return;
    p->overrun = false;
    p->lost += seq - p->overrun_from;
    count(&p->total_lost, seq - p->overrun_from);
}

/* ---- giving ---- */

enum description {
    DESCRIPTION_THERE,
    DESCRIPTION_TO_COME,
    DESCRIPTION_LACKING, /* for good */
};

/* Makes the packet's generation the current one, if it is described by now. */
static enum description use_generation(cuframes_subscriber_t *s, uint32_t generation)
{
    struct cf_subscriber_packets *p = &s->packets;
    const struct cf_packet_streams *streams;
    bool lacking;

    if (p->current && p->current->generation == generation)
        return DESCRIPTION_THERE;
    pthread_mutex_lock(&s->lock);
    streams = cf_packet_source_find(p->source, generation);
    lacking = cf_packet_source_lacks(p->source, generation);
    if (streams) {
        cf_packet_source_use(s, streams);
        p->flags |= CUFRAMES_PKT_FLAG_GENERATION;
    }
    pthread_mutex_unlock(&s->lock);
    if (streams)
        return DESCRIPTION_THERE;
    return lacking ? DESCRIPTION_LACKING : DESCRIPTION_TO_COME;
}

/* Number of the first packet from `seq` on that is not of `generation`. */
static uint64_t end_of_generation(const cuframes_subscriber_t *s, uint64_t seq, uint32_t generation)
{
    struct cf_packet_found found;

    while (cf_packet_reader_look(reader_of(s), seq, &found) == CF_PACKET_OK &&
           found.meta.generation == generation)
        seq++;
    return seq;
}

/* Goes on behind packets that nobody can describe any more: this reader comes so late that they are
 * overwritten where the publisher writes now, and are here only because a larger ring has taken this
 * one's place. It is an overrun like any other. */
static int pass_over(cuframes_subscriber_t *s, uint32_t generation)
{
    struct cf_subscriber_packets *p = &s->packets;
    const uint64_t from = p->wanted;
    const bool waited = p->skipping;

    p->wanted = end_of_generation(s, from, generation);
    p->skipping = true;
    return waited ? CUFRAMES_OK : note_overrun(s, from);
}

static void give(cuframes_subscriber_t *s, cuframes_packet_t *packet,
                 const struct cf_packet_found *found)
{
    struct cf_subscriber_packets *p = &s->packets;
    struct cf_packet_page *page = p->source->page.addr;

    memset(packet->data + found->size, 0, CF_PACKET_PADDING);
    packet->meta = found->meta;
    packet->flags = (found->meta.flags & CF_PACKET_FLAGS) | p->flags;
    packet->seq = p->wanted;
    packet->lost = p->lost;
    p->flags = 0;
    p->lost = 0;
    count(&p->received, 1);
    atomic_store_explicit(&page->received, atomic_load_explicit(&p->received, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&page->lost, atomic_load_explicit(&p->total_lost, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&page->cursor, p->wanted + 1, memory_order_relaxed);
}

static int copy(cuframes_subscriber_t *s, const struct cf_packet_found *found,
                cuframes_packet_t **packet)
{
    cuframes_packet_t *new = cf_packet_new(s->packets.pool, found->size);

    if (!new)
        return CUFRAMES_ERR_OUT_OF_MEMORY;
    if (!cf_packet_reader_copy(reader_of(s), s->packets.wanted, found, new->data)) {
        cf_packet_free(new);
        return overrun(s);
    }
    give(s, new, found);
    *packet = new;
    s->packets.wanted++;
    CF_POINT("packets.given");
    return CUFRAMES_OK;
}

static int broken(const cuframes_subscriber_t *s)
{
    return cf_fail(CUFRAMES_ERR_PROTOCOL, "the packet ring of %s contradicts itself", s->key);
}

/* Looks at the packet that is wanted. OK without a packet: it is not for the program. */
static int take_one(cuframes_subscriber_t *s, cuframes_packet_t **packet)
{
    struct cf_subscriber_packets *p = &s->packets;
    struct cf_packet_found found;

    switch (cf_packet_reader_look(reader_of(s), p->wanted, &found)) {
    case CF_PACKET_OK:
        break;
    case CF_PACKET_NOTHING:
        return CUFRAMES_ERR_WOULD_BLOCK;
    case CF_PACKET_GONE:
        return overrun(s);
    default:
        return broken(s);
    }
    if (p->skipping && !(found.meta.flags & CF_PACKET_FLAG_START)) {
        p->wanted++;
        return CUFRAMES_OK;
    }
    switch (use_generation(s, found.meta.generation)) {
    case DESCRIPTION_THERE:
        break;
    case DESCRIPTION_TO_COME:
        p->missing = found.meta.generation;
        return CUFRAMES_ERR_WOULD_BLOCK;
    case DESCRIPTION_LACKING:
        return pass_over(s, found.meta.generation);
    }
    resume(s, p->wanted);
    if (found.meta.stream >= p->current->count)
        return broken(s);
    if (p->options.streams && !(p->options.streams >> found.meta.stream & 1)) {
        p->wanted++;
        return CUFRAMES_OK;
    }
    return copy(s, &found, packet);
}

/* The next packet for the program, if it is there. */
static int take(cuframes_subscriber_t *s, cuframes_packet_t **packet)
{
    cuframes_packet_t *taken = NULL;
    int err = CUFRAMES_OK;

    s->packets.missing = 0;
    if (!s->packets.source)
        return CUFRAMES_ERR_WOULD_BLOCK;
    while (!err && !taken)
        err = take_one(s, &taken);
    if (taken)
        *packet = taken;
    return err;
}

/* ---- waiting; under the lock ---- */

static bool is_news(const cuframes_subscriber_t *s)
{
    return s->packets.source && !s->packets.missing &&
           cf_packet_reader_has(reader_of(s), s->packets.wanted);
}

/* Hears what the publisher has to say, at the latest at `deadline`. */
static int listen_or_lose(cuframes_subscriber_t *s, int64_t deadline)
{
    int err = cf_attach_listen(s, deadline);

    if (!err || err == CUFRAMES_ERR_WOULD_BLOCK || err == CUFRAMES_ERR_TIMEOUT)
        return err;
    /* What it published last is given first; the connection stays as it is till then. */
    if (err == CUFRAMES_ERR_DISCONNECTED && is_news(s))
        return CUFRAMES_OK;
    /* Frames that were announced before can still be had. */
    s->leftover = s->view != NULL;
    return cf_subscriber_lose(s, err);
}

/* Leaves the publisher with the wish to be woken by the wake socket. False: look again. */
static bool arm_wake_socket(cuframes_subscriber_t *s)
{
    struct cf_packet_source *source = s->packets.source;
    char bytes[MAX_WAKES];
    uint32_t word;
    ssize_t ignored;

    if (source->wake_socket < 0)
        return true;
    ignored = recv(source->wake_socket, bytes, sizeof(bytes), MSG_DONTWAIT);
    (void)ignored;
    return cf_packet_reader_prepare_wait(reader_of(s), source->page.addr, CF_PACKETS_WAITING_SOCKET,
                                         s->packets.wanted, &word);
}

/* Sleeps, not under the lock, until there is news, the deadline, or time for a look at the
 * connection; the last is said by a false. */
static bool sleep_for_news(cuframes_subscriber_t *s, int64_t deadline)
{
    const struct cf_packet_reader *reader = reader_of(s);
    struct cf_packet_page *page = s->packets.source->page.addr;
    const int64_t look = cf_now_ns() + LOOK_MS * CF_NS_PER_MS;
    uint32_t word;
    int err = 0;

    pthread_mutex_unlock(&s->lock);
    if (cf_packet_reader_prepare_wait(reader, page, CF_PACKETS_WAITING_FUTEX, s->packets.wanted,
                                      &word)) {
        err = cf_packet_reader_sleep(reader, word, deadline < look ? deadline : look);
        cf_packet_reader_end_wait(page);
    }
    pthread_mutex_lock(&s->lock);
    return err != -ETIMEDOUT;
}

static int64_t slice(int64_t deadline)
{
    int64_t look = deadline == 0 ? 0 : cf_now_ns() + LOOK_MS * CF_NS_PER_MS;

    return deadline < look ? deadline : look;
}

/* Attached, with a ring that is not at its end, and nothing there. OK = look again. */
static int wait_running(cuframes_subscriber_t *s, int64_t deadline)
{
    int err;

    if (deadline == 0) {
        if (!arm_wake_socket(s))
            return CUFRAMES_OK;
        return listen_or_lose(s, 0);
    }
    if (sleep_for_news(s, deadline))
        return CUFRAMES_OK;
    /* Another thread may have lost the connection meanwhile. */
    if (s->state != CF_SUBSCRIBER_ATTACHED)
        return CUFRAMES_OK;
    err = listen_or_lose(s, 0);
    return err == CUFRAMES_ERR_WOULD_BLOCK ? CUFRAMES_OK : err;
}

/* Nothing was found, in a ring whose state was `state` before the look. OK = look again. */
static int wait_for_more(cuframes_subscriber_t *s, enum cf_packet_ring_state state,
                         int64_t deadline)
{
    struct cf_subscriber_packets *p = &s->packets;
    int err;

    /* A description that was missing may have come with what was heard last. */
    if (p->missing && cf_packet_source_find(p->source, p->missing))
        return CUFRAMES_OK;
    if (p->source && p->source->next_ring && !p->missing && state != CF_PACKET_RING_RUNNING) {
        cf_packet_source_follow_ring(p->source);
        return CUFRAMES_OK;
    }
    if (p->next_source) {
        cf_packet_source_follow(s);
        return CUFRAMES_OK;
    }
    if (s->state != CF_SUBSCRIBER_ATTACHED)
        return cf_subscriber_come_back(s, deadline);
    if (p->source && p->answered && !p->missing && state == CF_PACKET_RING_RUNNING)
        return wait_running(s, deadline);
    /* The socket tells: a description, a ring, the end, or that the new publisher has packets. */
    err = listen_or_lose(s, slice(deadline));
    return err == CUFRAMES_ERR_TIMEOUT ? CUFRAMES_OK : err;
}

static enum cf_packet_ring_state ring_state(const cuframes_subscriber_t *s)
{
    return s->packets.source ? cf_packet_reader_state(reader_of(s)) : CF_PACKET_RING_RUNNING;
}

/* The ring contradicts itself. */
static int give_up(cuframes_subscriber_t *s, int err)
{
    cf_packet_source_drop(s);
    return s->state == CF_SUBSCRIBER_ATTACHED ? cf_subscriber_lose(s, err) : err;
}

static int next_before(cuframes_subscriber_t *s, cuframes_packet_t **packet, int64_t deadline)
{
    for (;;) {
        /* The state first: when it says that the ring has ended, every packet is there. */
        enum cf_packet_ring_state state = ring_state(s);
        int err = take(s, packet);

        if (err == CUFRAMES_OK || err == CUFRAMES_ERR_PACKET_OVERRUN ||
            err == CUFRAMES_ERR_OUT_OF_MEMORY)
            return err;
        pthread_mutex_lock(&s->lock);
        err = err == CUFRAMES_ERR_WOULD_BLOCK ? wait_for_more(s, state, deadline) : give_up(s, err);
        pthread_mutex_unlock(&s->lock);
        if (err)
            return err;
        if (deadline != 0 && deadline != CF_NEVER && cf_now_ns() >= deadline)
            return CUFRAMES_ERR_TIMEOUT;
    }
}

int cf_packets_next(cuframes_subscriber_t *s, cuframes_packet_t **packet, int32_t timeout_ms)
{
    int err;

    if (!s->packets.enabled)
        return cf_fail(CUFRAMES_ERR_NO_PACKET_RING,
                       "packets are not enabled: call cuframes_subscriber_enable_packets() first");
    err = next_before(s, packet, cf_deadline(timeout_ms));
    /* For those who poll after a wait: the last look leaves the wish to be woken. */
    if (err == CUFRAMES_ERR_TIMEOUT && s->epoll >= 0 &&
        (err = next_before(s, packet, 0)) == CUFRAMES_ERR_WOULD_BLOCK)
        err = CUFRAMES_ERR_TIMEOUT;
    if (err == CUFRAMES_ERR_TIMEOUT)
        return cf_fail(err, "no packet of %s within %d ms", s->key, timeout_ms);
    return err;
}

/* ---- enabling, and the streams ---- */

/* Waits for the answer, and for the description of the newest generation. Under the lock. */
static int await_packets(cuframes_subscriber_t *s)
{
    struct cf_subscriber_packets *p = &s->packets;
    const int64_t deadline = cf_deadline(p->options.timeout_ms ? p->options.timeout_ms : ANSWER_MS);
    int err = CUFRAMES_OK;

    while (!err) {
        if (s->state != CF_SUBSCRIBER_ATTACHED)
            return cf_fail(CUFRAMES_ERR_DISCONNECTED, "the publisher of %s is gone", s->key);
        if (p->answered && !p->asked)
            return cf_fail(CUFRAMES_ERR_NOT_FOUND, "the channel %s has no packets", s->key);
        if (p->next_source)
            cf_packet_source_follow(s);
        if (p->source && p->answered &&
            (p->source->newest_generation == 0 ||
             cf_packet_source_find(p->source, p->source->newest_generation) ||
             /* Its packets were overwritten before it was sent; a newer one has come. */
             cf_packet_source_lacks(p->source, p->source->newest_generation)))
            return CUFRAMES_OK;
        err = cf_attach_listen(s, deadline);
    }
    if (err == CUFRAMES_ERR_TIMEOUT)
        return cf_endpoint_silent(s->key);
    cf_subscriber_lose(s, err);
    return err;
}

static int enable_locked(cuframes_subscriber_t *s, const cuframes_packet_options_t *options)
{
    struct cf_subscriber_packets *p = &s->packets;
    int err = CUFRAMES_OK;

    if (p->enabled)
        return cf_fail(CUFRAMES_ERR_ALREADY_EXISTS, "packets are enabled already");
    if (s->state != CF_SUBSCRIBER_ATTACHED)
        return cf_fail(CUFRAMES_ERR_DISCONNECTED, "the publisher of %s is away", s->key);
    if (!p->pool && !(p->pool = cf_packet_pool_new()))
        return CUFRAMES_ERR_OUT_OF_MEMORY;
    p->options = *options;
    if (!p->asked)
        err = cf_packet_source_ask(s, false);
    if (!err)
        err = await_packets(s);
    if (err)
        return err;
    p->enabled = true;
    return CUFRAMES_OK;
}

int cf_packets_read_enable(cuframes_subscriber_t *s, const cuframes_packet_options_t *options)
{
    int err;

    pthread_mutex_lock(&s->lock);
    err = enable_locked(s, options);
    pthread_mutex_unlock(&s->lock);
    return err;
}

/* Generation of the packet that will be the first; 0 = not known. */
static uint32_t first_generation(const cuframes_subscriber_t *s)
{
    struct cf_packet_found found;

    if (cf_packet_reader_look(reader_of(s), s->packets.wanted, &found) != CF_PACKET_OK)
        return 0;
    return found.meta.generation;
}

static const struct cf_packet_streams *find_streams(const cuframes_subscriber_t *s)
{
    const struct cf_packet_streams *streams;

    if (s->packets.current || !s->packets.source)
        return s->packets.current;
    streams = cf_packet_source_find(s->packets.source, first_generation(s));
    if (streams || !s->packets.source->streams)
        return streams;
    /* No packet to begin with yet: it will be one of the newest generation. */
    streams = s->packets.source->streams;
    while (streams->next)
        streams = streams->next;
    return streams;
}

int cf_packets_streams(cuframes_subscriber_t *s, const struct cf_packet_streams **streams)
{
    const struct cf_packet_streams *found;

    if (!s->packets.enabled)
        return cf_fail(CUFRAMES_ERR_NO_PACKET_RING,
                       "packets are not enabled: call cuframes_subscriber_enable_packets() first");
    pthread_mutex_lock(&s->lock);
    found = find_streams(s);
    /* What has come in the meantime is in the socket. */
    while (!found && s->state == CF_SUBSCRIBER_ATTACHED && cf_attach_listen(s, 0) == CUFRAMES_OK) {
        if (s->packets.next_source)
            cf_packet_source_follow(s);
        found = find_streams(s);
    }
    pthread_mutex_unlock(&s->lock);
    if (!found)
        return cf_fail(CUFRAMES_ERR_NO_CODEC_PARAMS,
                       "the publisher of %s has not described its streams yet", s->key);
    *streams = found;
    return CUFRAMES_OK;
}
