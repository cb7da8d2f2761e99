/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may connect to a channel by its name: after the socket's permissions, the channel's own list
 * of users. It is looked at when the peer has said its first message, because an answer that is sent
 * before the question was read can be lost on a Unix socket. Runs on the service thread; the list is
 * constant.
 */
#include <unistd.h>

#include "base/error.h"
#include "channel/publisher.h"

static bool is_allowed(const cuframes_publisher_t *publisher, uid_t uid)
{
    /* Root could take the memory from the process; its own user could trace it. */
    if (!publisher->restricted || uid == 0 || uid == geteuid())
        return true;
    for (uint32_t i = 0; i < publisher->allowed_count; i++)
        if (publisher->allowed[i] == uid)
            return true;
    return false;
}

int cf_admission_check(cuframes_publisher_t *publisher, struct cf_client *client)
{
    const struct cf_peer_credentials *peer = &client->credentials;
    int err;

    if (client->handed_in)
        return CUFRAMES_OK;
    /* Again, because here it must not fail. */
    if ((err = cf_connection_credentials(client->socket, &client->credentials)) != 0)
        return err;
    if (is_allowed(publisher, peer->uid))
        return CUFRAMES_OK;
    return cf_fail(CUFRAMES_ERR_PERMISSION,
                   "user %lu is not on the list of users that the publisher of %s lets in",
                   (unsigned long)peer->uid, publisher->key);
}
