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
    memset(p, 0, CF_WIRE_TEXT_SIZE);
    memcpy(p, message->text, strnlen(message->text, CF_WIRE_TEXT_SIZE - 1));
}

static int refuse(const char *why)
{
    return cf_fail(CUFRAMES_ERR_PROTOCOL, "the peer's message is not one of a group: %s", why);
}

/* The sentence is for a terminal: no control characters. Behind its end all is 0. */
static int check_text(const char *text)
{
    const size_t length = strnlen(text, CF_WIRE_TEXT_SIZE);

    if (length == CF_WIRE_TEXT_SIZE)
        return refuse("a text without an end");
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return refuse("a control character in its text");
    for (size_t i = length; i < CF_WIRE_TEXT_SIZE; i++)
        if (text[i] != '\0')
            return refuse("bytes behind its text");
    return CUFRAMES_OK;
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
    if (get_u32(&p) != 0)
        return refuse("a reserved word that is not 0");
    m.rank = get_u32(&p);
    m.size = get_u32(&p);
    m.round = get_u32(&p);
    m.total = get_u32(&p);
    m.offset = get_u32(&p);
    m.error = (int32_t)get_u32(&p);
    memcpy(m.text, p, CF_WIRE_TEXT_SIZE);
    if ((err = check_text(m.text)) != 0 || (err = check_fields(&m, fd_count)) != 0)
        return err;
    *message = m;
    return CUFRAMES_OK;
}
