/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of a publisher's subscribers and their hold pages. Everything here runs under the
 * publisher's lock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sys.h"
#include "channel/publisher.h"

int cf_page_create(uint64_t cursor, struct cf_page **page)
{
    struct cf_page *new = cf_sys.calloc(1, sizeof(*new));
    int err;

    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    new->refs = 1;
    err = cf_shm_create("cuframes-holds", sizeof(struct cf_hold_page), CF_SHM_PEER_WRITES, &new->fd,
                        &new->map);
    if (err) {
        free(new);
        return err;
    }
    /* Relaxed: nobody else sees the page before it is sent over a socket. */
    atomic_store_explicit(&cf_page_holds(new)->cursor, cursor, memory_order_relaxed);
    *page = new;
    return CUFRAMES_OK;
}

struct cf_page *cf_page_ref(struct cf_page *page)
{
    atomic_fetch_add_explicit(&page->refs, 1, memory_order_relaxed);
    return page;
}

void cf_page_unref(struct cf_page *page)
{
    if (!page || atomic_fetch_sub_explicit(&page->refs, 1, memory_order_acq_rel) != 1)
        return;
    cf_map_release(&page->map);
    cf_close(&page->fd);
    free(page);
}

struct cf_hold_page *cf_page_holds(const struct cf_page *page)
{
    return page->map.addr;
}

int cf_wake_socket_make(int *own, int *peer)
{
    const int smallest = 1; /* the kernel makes it a few messages: one is enough */
    int pair[2];

    if (cf_sys.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return cf_fail_errno(errno, "the publisher cannot make a socket to wake the subscriber");
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &smallest, sizeof(smallest));
    *own = pair[0];
    *peer = pair[1];
    return CUFRAMES_OK;
}

static struct cf_ring_peer ring_peer(const struct cf_client *client)
{
    return (struct cf_ring_peer){
        .page = cf_page_holds(client->page),
        .wake_socket = client->wake_socket,
        .in_order = client->mode == CUFRAMES_MODE_STRICT_ORDER,
    };
}

void cf_clients_attach(cuframes_publisher_t *publisher, struct cf_client *client)
{
    uint32_t i = publisher->peers.count++;

    publisher->peers.peers[i] = ring_peer(client);
    publisher->clients[i] = client;
    client->attached = true;
}

void cf_clients_detach(cuframes_publisher_t *publisher, struct cf_client *client, int error)
{
    uint32_t last = publisher->peers.count - 1;

    cf_packets_detach(publisher, client);
    if (!client->attached)
        return;
    if (error)
        cf_hold_page_revoke(cf_page_holds(client->page), error);
    for (uint32_t i = 0; i <= last; i++) {
        if (publisher->clients[i] == client) {
            publisher->peers.peers[i] = publisher->peers.peers[last];
            publisher->clients[i] = publisher->clients[last];
            break;
        }
    }
    publisher->peers.count = last;
    client->attached = false;
    cf_page_unref(client->page);
    client->page = NULL;
    cf_wait_progress(publisher);
}

void cf_clients_dismiss(cuframes_publisher_t *publisher, struct cf_client *client, int error)
{
    cf_clients_detach(publisher, client, error);
    client->dismissed = error;
    cf_service_kick(publisher);
}

bool cf_clients_check_claims(cuframes_publisher_t *publisher)
{
    const uint32_t slot_count = publisher->current->writer.slot_count;
    bool again = false;

    for (uint32_t i = publisher->peers.count; i-- > 0;) {
        struct cf_client *client = publisher->clients[i];
        bool restless;

        if (cf_hold_page_claims(cf_page_holds(client->page), slot_count, &restless) >
            client->max_holds) {
            cf_log(CUFRAMES_LOG_WARNING, "%s: closing %s: it claims more than %u frames",
                   publisher->key, client->name, client->max_holds);
            cf_clients_dismiss(publisher, client, CUFRAMES_ERR_PROTOCOL);
            again = true;
        }
        again |= restless;
    }
    return again;
}

void cf_clients_renew_pages(cuframes_publisher_t *publisher, uint64_t first_seq)
{
    for (uint32_t i = publisher->peers.count; i-- > 0;) {
        struct cf_client *client = publisher->clients[i];
        struct cf_page *page;

        /* Dismissing moves the last client here, which has been renewed already. */
        if (cf_page_create(first_seq, &page) != CUFRAMES_OK) {
            cf_log(CUFRAMES_LOG_WARNING, "%s: no memory for a new hold page of %s, closing it",
                   publisher->key, client->name);
            cf_clients_dismiss(publisher, client, CUFRAMES_ERR_OUT_OF_MEMORY);
            continue;
        }
        cf_page_unref(client->page);
        client->page = page;
        publisher->peers.peers[i] = ring_peer(client);
    }
}

uint32_t cf_clients_count(const cuframes_publisher_t *publisher)
{
    uint32_t count = publisher->peers.count;

    for (uint32_t i = 0; i < publisher->packet_client_count; i++)
        count += publisher->packet_clients[i]->packets_only;
    return count;
}

uint32_t cf_clients_count_ready(const cuframes_publisher_t *publisher)
{
    uint32_t count = publisher->peers.count;

    for (uint32_t i = 0; i < publisher->packet_client_count; i++)
        count += publisher->packet_clients[i]->packets_only &&
                 publisher->packet_clients[i]->packets.served;
    return count;
}

bool cf_clients_has_name(const cuframes_publisher_t *publisher, const char *name)
{
    for (uint32_t i = 0; i < publisher->peers.count; i++)
        if (strcmp(publisher->clients[i]->name, name) == 0)
            return true;
    for (uint32_t i = 0; i < publisher->packet_client_count; i++)
        if (strcmp(publisher->packet_clients[i]->name, name) == 0)
            return true;
    return false;
}

/* The words of a page are the subscriber's own: shown, never used. */
static void read_frames(const cuframes_publisher_t *publisher, const struct cf_client *client,
                        cuframes_subscriber_info_t *info)
{
    const struct cf_hold_page *page = cf_page_holds(client->page);
    const struct cf_ring_writer *writer = &publisher->current->writer;
    uint64_t cursor = atomic_load_explicit(&page->cursor, memory_order_relaxed);

    info->reads |= CUFRAMES_READS_FRAMES;
    info->held = cf_hold_page_count(page, writer->slot_count);
    info->received = atomic_load_explicit(&page->received, memory_order_relaxed);
    info->missed = atomic_load_explicit(&page->missed, memory_order_relaxed);
    info->lag = cursor < writer->next_seq ? writer->next_seq - cursor : 0;
}

static void read_packets(const struct cf_client *client, cuframes_subscriber_info_t *info)
{
    const struct cf_packet_page *page = cf_packets_page(client);

    info->reads |= CUFRAMES_READS_PACKETS;
    info->packets_received = atomic_load_explicit(&page->received, memory_order_relaxed);
    info->packets_lost = atomic_load_explicit(&page->lost, memory_order_relaxed);
}

static cuframes_subscriber_info_t client_info(const cuframes_publisher_t *publisher,
                                              const struct cf_client *client)
{
    cuframes_subscriber_info_t info = {
        .mode = client->mode,
        .pid = client->credentials.pid,
        .uid = client->credentials.uid,
        .access = client->access,
    };

    memcpy(info.name, client->name, sizeof(info.name));
    if (client->attached)
        read_frames(publisher, client, &info);
    if (client->packets.listed && client->packets.page)
        read_packets(client, &info);
    return info;
}

uint32_t cf_clients_list(const cuframes_publisher_t *publisher, cuframes_subscriber_info_t *list,
                         uint32_t capacity)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < publisher->peers.count; i++, count++)
        if (count < capacity)
            list[count] = client_info(publisher, publisher->clients[i]);
    for (uint32_t i = 0; i < publisher->packet_client_count; i++) {
        if (!publisher->packet_clients[i]->packets_only)
            continue;
        if (count < capacity)
            list[count] = client_info(publisher, publisher->packet_clients[i]);
        count++;
    }
    return count;
}
