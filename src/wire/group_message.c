/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/group_message.h"

#include <string.h>

#include <cuframes/group.h>

#include "base/error.h"

static void put_u32(uint8_t **p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        *(*p)++ = (uint8_t)(value >> (8 * i));
}

static uint32_t get_u32(const uint8_t **p)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++)
        value |= (uint32_t) * (*p)++ << (8 * i);
    return value;
}

void cf_group_message_encode(const struct cf_group_message *message, uint8_t *bytes)
{
    uint8_t *p = bytes;

    put_u32(&p, CF_GROUP_MAGIC);
    put_u32(&p, CF_WIRE_VERSION);
    put_u32(&p, message->type);
    put_u32(&p, 0);
    put_u32(&p, message->rank);
    put_u32(&p, message->size);
    put_u32(&p, message->round);
    put_u32(&p, message->total);
    put_u32(&p, message->offset);
    put_u32(&p, (uint32_t)message->error);
    strncpy((char *)p, message->text, CF_WIRE_TEXT_SIZE - 1);
    p[CF_WIRE_TEXT_SIZE - 1] = 0;
}

static int refuse(const char *why)
{
    return cf_fail(CUFRAMES_ERR_PROTOCOL, "the peer's message is not one of a group: %s", why);
}

static int check_fields(const struct cf_group_message *m, size_t fd_count)
{
    size_t most_fds = m->type == CF_GROUP_START                              ? 1
                      : m->type == CF_GROUP_GIVE || m->type == CF_GROUP_TAKE ? fd_count
                                                                             : 0;

    switch (m->type) {
    case CF_GROUP_JOIN:
    case CF_GROUP_START:
        if (m->size < 1 || m->size > CUFRAMES_GROUP_MAX_RANKS)
            return refuse("a size that no group has");
        if (m->rank >= m->size && !(m->type == CF_GROUP_JOIN && m->rank == CF_GROUP_RANK_ANY))
            return refuse("a rank outside the group");
        break;
    case CF_GROUP_GIVE:
    case CF_GROUP_TAKE:
        if (m->total > CUFRAMES_GROUP_MAX_FDS || m->offset > m->total ||
            fd_count > m->total - m->offset)
            return refuse("numbers of descriptors that do not add up");
        break;
    case CF_GROUP_ERROR:
        if (m->error >= 0)
            return refuse("an error that is none");
        break;
    case CF_GROUP_LEAVE:
    case CF_GROUP_ASK:
        break;
    default:
        return refuse("an unknown type");
    }
    if (fd_count > most_fds || (m->type == CF_GROUP_START && fd_count != 1))
        return refuse("descriptors where none belong");
    return CUFRAMES_OK;
}

int cf_group_message_decode(const uint8_t *bytes, size_t size, size_t fd_count,
                            struct cf_group_message *message)
{
    struct cf_group_message m = {0};
    const uint8_t *p = bytes;
    uint32_t version;
    int err;

    if (size < CF_WIRE_HEADER_SIZE || get_u32(&p) != CF_GROUP_MAGIC)
        return refuse("it does not begin like one");
    version = get_u32(&p);
    if (version != CF_WIRE_VERSION)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer speaks version %u of the group protocol, "
                       "this library version %d",
                       version, CF_WIRE_VERSION);
    if (size != CF_GROUP_MESSAGE_SIZE)
        return refuse("a wrong length");
    m.type = (enum cf_group_message_type)get_u32(&p);
    get_u32(&p);
    m.rank = get_u32(&p);
    m.size = get_u32(&p);
    m.round = get_u32(&p);
    m.total = get_u32(&p);
    m.offset = get_u32(&p);
    m.error = (int32_t)get_u32(&p);
    if (memchr(p, 0, CF_WIRE_TEXT_SIZE) == NULL)
        return refuse("a text without an end");
    memcpy(m.text, p, CF_WIRE_TEXT_SIZE);
    if ((err = check_fields(&m, fd_count)) != 0)
        return err;
    *message = m;
    return CUFRAMES_OK;
}
