/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The messages of groups. One shape for all of them: a header, then a body of fixed size whose
 * fields that a type does not use are 0. No I/O in here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "wire/message.h"

#define CF_GROUP_MAGIC        UINT32_C(0x47465543) /* "CUFG" */
#define CF_GROUP_MESSAGE_SIZE (CF_WIRE_HEADER_SIZE + 24 + CF_WIRE_TEXT_SIZE)

enum cf_group_message_type {
    /* member to hub */
    CF_GROUP_JOIN = 1,  /* rank (or CF_GROUP_RANK_ANY), size */
    CF_GROUP_LEAVE = 2, /* a member that ends in good order */
    CF_GROUP_GIVE = 3,  /* descriptors: round, root, total, offset */
    CF_GROUP_ASK = 4,   /* gives up waiting for the start; answered by ERROR: who is missing */
    /* hub to member */
    CF_GROUP_START = 16, /* rank, size; with the board's descriptor */
    CF_GROUP_ERROR = 17, /* error, rank, text */
    CF_GROUP_TAKE = 18,  /* descriptors: round, total, offset */
};

#define CF_GROUP_RANK_ANY UINT32_MAX
/* As `root`: every rank gives. */
#define CF_GROUP_ROOT_ALL UINT32_MAX

struct cf_group_message {
    enum cf_group_message_type type;
    uint32_t rank;   /* the sender's or the receiver's; in GIVE the root */
    uint32_t size;   /* ranks of the group */
    uint32_t round;  /* number of the exchange of descriptors */
    uint32_t total;  /* descriptors of the sender (GIVE) or of all (TAKE) */
    uint32_t offset; /* those that went before this message */
    int32_t error;
    char text[CF_WIRE_TEXT_SIZE];
};

/* Encodes into CF_GROUP_MESSAGE_SIZE bytes. */
void cf_group_message_encode(const struct cf_group_message *message, uint8_t *bytes);

/* PROTOCOL with a sentence when it is not a message of this version, or a field or the number of
 * descriptors is out of its range. `message` is written on success only. */
int cf_group_message_decode(const uint8_t *bytes, size_t size, size_t fd_count,
                            struct cf_group_message *message);
