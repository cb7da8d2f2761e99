/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Passing descriptors round.
 *
 * A round has two halves: `gather` collects what the ranks give; when all have, it becomes `pass`,
 * which is sent to every rank. A rank can give for the next round only after it has taken this
 * one, so a gather is complete only when the pass before it is done.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/fd.h"
#include "base/point.h"
#include "base/sys.h"
#include "group/hub_state.h"

static void close_fds(int *fds, uint32_t count)
{
    for (uint32_t i = 0; fds && i < count; i++)
        cf_close(&fds[i]);
}

static void finish_passing(struct cf_hub *hub, struct cf_hub_member *member)
{
    if (!member->passing)
        return;
    member->passing = false;
    if (--hub->passing == 0) {
        close_fds(hub->pass, hub->pass_total);
        free(hub->pass);
        hub->pass = NULL;
    }
}

void cf_hub_drop_given(struct cf_hub_member *member)
{
    close_fds(member->fds, member->given);
    free(member->fds);
    member->fds = NULL;
    member->given = 0;
}

void cf_hub_drop_member(struct cf_hub *hub, struct cf_hub_member *member)
{
    finish_passing(hub, member);
    cf_hub_drop_given(member);
}

/* Registers for, or against, room in a member's socket. */
static void want_out(struct cf_hub *hub, struct cf_hub_member *member, bool wanted)
{
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = member};

    if (member->wants_out == wanted)
        return;
    member->wants_out = wanted;
    cf_sys.epoll_ctl(hub->epoll, EPOLL_CTL_MOD, member->socket, &event);
}

void cf_hub_pass_on(struct cf_hub *hub, struct cf_hub_member *member)
{
    while (member->passing) {
        uint32_t left = hub->pass_total - member->passed;
        uint32_t now = left < CF_RECORD_MAX_FDS ? left : CF_RECORD_MAX_FDS;
        struct cf_group_message message = {.type = CF_GROUP_TAKE,
                                           .round = hub->pass_round,
                                           .total = hub->pass_total,
                                           .offset = member->passed};
        int err = cf_hub_send(member->socket, &message, hub->pass + member->passed, now);

        /* Too many descriptors in flight: those that others take make room. */
        if (err == CUFRAMES_ERR_WOULD_BLOCK || err == CUFRAMES_ERR_TOO_MANY) {
            want_out(hub, member, true);
            return;
        }
        CF_POINT("hub.passed");
        member->passed += now;
        if (err || member->passed == hub->pass_total)
            finish_passing(hub, member);
        /* One that has gone breaks the group when that is noticed. */
        if (err && err != CUFRAMES_ERR_DISCONNECTED)
            cf_hub_end(hub, CF_BOARD_FAILED, member->rank);
    }
    want_out(hub, member, false);
    if (hub->ended)
        cf_hub_tell_end(hub, member);
}

/* Everybody has given: what was gathered is passed. */
static int begin_pass(struct cf_hub *hub)
{
    uint32_t filled = 0;

    hub->pass = cf_sys.calloc(hub->gathered ? hub->gathered : 1, sizeof(*hub->pass));
    if (!hub->pass)
        return CUFRAMES_ERR_OUT_OF_MEMORY;
    for (uint32_t rank = 0; rank < hub->size; rank++) {
        struct cf_hub_member *member = hub->ranks[rank];

        if (member->given)
            memcpy(hub->pass + filled, member->fds, member->given * sizeof(*hub->pass));
        filled += member->given;
        free(member->fds);
        member->fds = NULL;
        member->given = 0;
        member->gave = false;
        member->passed = 0;
        member->passing = true;
    }
    hub->pass_total = hub->gathered;
    hub->pass_round = hub->round++;
    hub->passing = hub->size;
    hub->gathered = hub->gave = 0;
    for (uint32_t rank = 0; rank < hub->size; rank++)
        cf_hub_pass_on(hub, hub->ranks[rank]);
    return CUFRAMES_OK;
}

/* Takes the descriptors of one message; consumes them. */
static int add_given(struct cf_hub *hub, struct cf_hub_member *member, struct cf_record *record,
                     const struct cf_group_message *message)
{
    int *grown;

    if (message->offset == 0) {
        member->total = message->total;
        if (hub->gave == 0 && hub->gathered == 0)
            hub->root = message->rank;
    }
    if (member->gave || message->round != hub->round || message->offset != member->given ||
        message->total != member->total || message->rank != hub->root ||
        hub->gathered + record->fd_count > CUFRAMES_GROUP_MAX_FDS)
        return CUFRAMES_ERR_PROTOCOL;
    if (record->fd_count > 0) {
        grown = realloc(member->fds, (member->given + record->fd_count) * sizeof(*grown));
        if (!grown)
            return CUFRAMES_ERR_OUT_OF_MEMORY;
        member->fds = grown;
        memcpy(grown + member->given, record->fds, record->fd_count * sizeof(*grown));
        member->given += (uint32_t)record->fd_count;
        hub->gathered += (uint32_t)record->fd_count;
        record->fd_count = 0;
    }
    if (member->given == member->total) {
        member->gave = true;
        hub->gave++;
    }
    return CUFRAMES_OK;
}

void cf_hub_give(struct cf_hub *hub, struct cf_hub_member *member, struct cf_record *record,
                 const struct cf_group_message *message)
{
    int err = add_given(hub, member, record, message);

    cf_record_close_fds(record);
    if (!err && hub->gave == hub->size)
        err = begin_pass(hub);
    if (err)
        cf_hub_end(hub, err == CUFRAMES_ERR_PROTOCOL ? CF_BOARD_NONSENSE : CF_BOARD_FAILED,
                   member->rank);
}
