/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the service thread sends to those who read packets: the ring and a page of their own
 * (PACKETS), then each packet generation in its order (STREAMS), and a larger ring (PACKET_RING).
 * One thing at a time: the next one goes when the subscriber says that it has taken the last, so
 * what waits in its socket is bounded.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/point.h"
#include "base/sys.h"
#include "channel/publisher.h"

/* ---- the tables; under the lock ---- */

void cf_packets_list_client(cuframes_publisher_t *publisher, struct cf_client *client)
{
    publisher->packet_clients[publisher->packet_client_count++] = client;
    client->packets.listed = true;
}

static void remove_peer(struct cf_packet_peers *peers, const struct cf_packet_page *page)
{
    for (uint32_t i = 0; i < peers->count; i++) {
        if (peers->peers[i].page == page) {
            peers->peers[i] = peers->peers[--peers->count];
            return;
        }
    }
}

void cf_packets_detach(cuframes_publisher_t *publisher, struct cf_client *client)
{
    if (client->packets.page)
        remove_peer(&publisher->packet_peers, cf_packets_page(client));
    if (!client->packets.listed)
        return;
    client->packets.listed = false;
    for (uint32_t i = 0; i < publisher->packet_client_count; i++) {
        if (publisher->packet_clients[i] == client) {
            publisher->packet_clients[i] =
                publisher->packet_clients[--publisher->packet_client_count];
            return;
        }
    }
}

struct cf_packet_page *cf_packets_page(const struct cf_client *client)
{
    return client->packets.page->map.addr;
}

void cf_packets_free_client(struct cf_client *client)
{
    cf_page_unref(client->packets.page);
    client->packets.page = NULL;
    cf_close(&client->packets.wake_socket);
    cf_close(&client->packets.peer_socket);
}

/* ---- messages ---- */

/* What a subscriber is to be sent next, with references to what is sent. */
struct next {
    struct cf_message message;
    struct cf_packet_memory *memory; /* NULL = nothing to send */
};

static void next_ring(const struct cf_packets *packets, const struct cf_client *client,
                      struct next *next)
{
    const bool first = client->packets.ring == 0;

    next->memory = cf_packet_memory_ref(packets->ring);
    next->message = (struct cf_message){
        .type = first ? CF_MSG_PACKETS : CF_MSG_PACKET_RING,
        .packets = {.number = packets->ring_number,
                    .flags = client->packets.peer_socket >= 0 ? CF_PACKETS_WAKE_SOCKET : 0,
                    .memory_size = packets->ring->map.size,
                    .generation = first ? packets->last_generation : 0},
    };
}

static void find_next(const struct cf_packets *packets, const struct cf_client *client,
                      struct next *next)
{
    next->memory = NULL;
    if (client->packets.ring != packets->ring_number) {
        next_ring(packets, client, next);
        return;
    }
    for (uint32_t i = 0; i < packets->generation_count; i++) {
        const struct cf_packet_generation *g = &packets->generations[i];

        if (g->number <= client->packets.generation)
            continue;
        next->memory = cf_packet_memory_ref(g->parameters);
        next->message = (struct cf_message){.type = CF_MSG_STREAMS,
                                            .streams = {.generation = g->number, .size = g->size}};
        return;
    }
}

static int send_next(struct cf_client *client, const struct next *next)
{
    int fds[CF_PACKETS_FD_COUNT] = {next->memory->fd};
    size_t fd_count = 1;

    if (next->message.type == CF_MSG_PACKETS) {
        fds[CF_PACKETS_FD_PAGE] = client->packets.page->fd;
        fd_count = CF_PACKETS_FD_WAKE_SOCKET;
        if (client->packets.peer_socket >= 0)
            fds[fd_count++] = client->packets.peer_socket;
    }
    return cf_connection_send(client->socket, &next->message, fds, fd_count);
}

/* Remembers what the subscriber has been sent. */
static void note_sent(struct cf_client *client, const struct next *next)
{
    client->packets.busy = true;
    if (next->message.type == CF_MSG_STREAMS) {
        client->packets.generation = next->message.streams.generation;
        return;
    }
    client->packets.ring = next->message.packets.number;
    cf_close(&client->packets.page->fd);
    cf_close(&client->packets.peer_socket);
}

/* Sends the next thing; *sent says whether there was one. */
static int serve_one(cuframes_publisher_t *publisher, struct cf_client *client, bool *sent)
{
    struct next next = {.memory = NULL};
    int err;

    *sent = false;
    if (!client->packets.asked)
        return CUFRAMES_OK;
    pthread_mutex_lock(&publisher->lock);
    if (publisher->packets && client->packets.listed)
        find_next(publisher->packets, client, &next);
    pthread_mutex_unlock(&publisher->lock);
    if (!next.memory)
        return CUFRAMES_OK;
    CF_POINT("packets.found_next");
    err = send_next(client, &next);
    CF_POINT("packets.sent");
    cf_packet_memory_unref(next.memory);
    note_sent(client, &next);
    *sent = true;
    return err;
}

int cf_packets_serve(cuframes_publisher_t *publisher, struct cf_client *client)
{
    bool sent;

    return client->packets.busy ? CUFRAMES_OK : serve_one(publisher, client, &sent);
}

void cf_packets_flush(cuframes_publisher_t *publisher, struct cf_client *client)
{
    bool sent;

    while (serve_one(publisher, client, &sent) == CUFRAMES_OK && sent)
        ;
}

int cf_packets_adopted(cuframes_publisher_t *publisher, struct cf_client *client)
{
    client->packets.busy = false;
    return cf_packets_serve(publisher, client);
}

static int make_page(struct cf_page **page)
{
    struct cf_page *new = cf_sys.calloc(1, sizeof(*new));
    int err;

    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    new->refs = 1;
    err = cf_shm_create("cuframes-packet-page", sizeof(struct cf_packet_page), CF_SHM_PEER_WRITES,
                        &new->fd, &new->map);
    if (err) {
        free(new);
        return err;
    }
    *page = new;
    return CUFRAMES_OK;
}

/* The channel has no packets, and the subscriber does not want to wait for them. */
static int send_none(const struct cf_client *client)
{
    const struct cf_message message = {.type = CF_MSG_PACKETS};

    return cf_connection_send(client->socket, &message, NULL, 0);
}

int cf_packets_attach(cuframes_publisher_t *publisher, struct cf_client *client, uint32_t flags)
{
    struct cf_packet_peer *peer;
    bool none;
    int err;

    pthread_mutex_lock(&publisher->lock);
    /* A channel that was made for packets alone will have them in a moment. */
    none = !publisher->packets && !publisher->packets_only && !(flags & CF_PACKETS_WAIT);
    pthread_mutex_unlock(&publisher->lock);
    if (none)
        return send_none(client);
    if ((err = make_page(&client->packets.page)) != 0)
        return err;
    if ((flags & CF_PACKETS_WAKE_SOCKET) &&
        (err = cf_wake_socket_make(&client->packets.wake_socket, &client->packets.peer_socket)) !=
            0)
        return err;
    pthread_mutex_lock(&publisher->lock);
    if (!client->packets.listed)
        cf_packets_list_client(publisher, client);
    peer = &publisher->packet_peers.peers[publisher->packet_peers.count++];
    *peer = (struct cf_packet_peer){.page = cf_packets_page(client),
                                    .wake_socket = client->packets.wake_socket};
    pthread_mutex_unlock(&publisher->lock);
    CF_POINT("packets.page_listed");
    client->packets.asked = true;
    if ((err = cf_packets_serve(publisher, client)) != 0)
        return err;
    pthread_mutex_lock(&publisher->lock);
    client->packets.served = true;
    pthread_mutex_unlock(&publisher->lock);
    return CUFRAMES_OK;
}
