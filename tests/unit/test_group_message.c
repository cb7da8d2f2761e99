/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Encoder and decoder of the messages of groups: exact bytes, and what a peer can get wrong.
 */
#include "harness/harness.h"

#include <cuframes/group.h>

#include "wire/group_message.h"

#define RESERVED_AT 12
#define ERROR_AT    36
#define TEXT_AT     40

struct wrong {
    size_t at;
    uint8_t byte;
    const char *words;
};

static void encode_error(uint8_t *bytes)
{
    const struct cf_group_message error = {
        .type = CF_GROUP_ERROR, .rank = 2, .error = CUFRAMES_ERR_TIMEOUT, .text = "late"};

    cf_group_message_encode(&error, bytes);
}

static void check_refused(const uint8_t *bytes, size_t size, size_t fds, const char *words)
{
    struct cf_group_message message, untouched;

    memset(&message, 0x5a, sizeof(message));
    memset(&untouched, 0x5a, sizeof(untouched));
    CHECK_ERR_SAYS(cf_group_message_decode(bytes, size, fds, &message), CUFRAMES_ERR_PROTOCOL,
                   words);
    CHECK_MEM_EQ(&message, &untouched, sizeof(message));
}

TEST(bytes_are_those_of_the_documentation)
{
    static const uint8_t join[40] = {0x43, 0x55, 0x46, 0x47, 5,    0,    0,    0,    1, 0, 0, 0,
                                     0,    0,    0,    0,    0xff, 0xff, 0xff, 0xff, 4, 0, 0, 0};
    const struct cf_group_message message = {
        .type = CF_GROUP_JOIN, .rank = CF_GROUP_RANK_ANY, .size = 4};
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE], zero[CF_WIRE_TEXT_SIZE] = {0};

    CHECK_EQ(sizeof(bytes), 296);
    cf_group_message_encode(&message, bytes);
    CHECK_MEM_EQ(bytes, join, sizeof(join));
    CHECK_MEM_EQ(bytes + TEXT_AT, zero, sizeof(zero));
}

TEST(what_is_encoded_decodes_to_the_same)
{
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE];
    struct cf_group_message message;

    encode_error(bytes);
    CHECK_OK(cf_group_message_decode(bytes, sizeof(bytes), 0, &message));
    CHECK_EQ(message.type, CF_GROUP_ERROR);
    CHECK_EQ(message.rank, 2);
    CHECK_EQ(message.error, CUFRAMES_ERR_TIMEOUT);
    CHECK_STR_EQ(message.text, "late");
}

TEST(a_text_of_any_length_has_an_end)
{
    struct cf_group_message message = {.type = CF_GROUP_ERROR, .error = CUFRAMES_ERR_IO};
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE];

    memset(message.text, 'x', sizeof(message.text));
    cf_group_message_encode(&message, bytes);
    CHECK_OK(cf_group_message_decode(bytes, sizeof(bytes), 0, &message));
    CHECK_EQ(strlen(message.text), CF_WIRE_TEXT_SIZE - 1);
}

TEST(wrong_bytes_are_refused)
{
    static const struct wrong wrongs[] = {
        {0, 'X', "does not begin like one"},
        {4, 6, "version 6"},
        {8, 99, "unknown type"},
        {RESERVED_AT, 1, "reserved"},
        {RESERVED_AT + 3, 0x80, "reserved"},
        {ERROR_AT + 3, 0, "an error that is none"},
        {TEXT_AT, 0x1b, "control character"},
        {TEXT_AT + 1, '\n', "control character"},
        {TEXT_AT + 3, 0x7f, "control character"},
        {TEXT_AT + 5, 'x', "behind its text"},
        {CF_GROUP_MESSAGE_SIZE - 1, 'x', "behind its text"},
    };
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE];

    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        encode_error(bytes);
        bytes[wrongs[i].at] = wrongs[i].byte;
        check_refused(bytes, sizeof(bytes), 0, wrongs[i].words);
    }
    encode_error(bytes);
    memset(bytes + TEXT_AT, 'x', CF_WIRE_TEXT_SIZE);
    check_refused(bytes, sizeof(bytes), 0, "without an end");
}

TEST(wrong_sizes_and_descriptors_are_refused)
{
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE + 1] = {0};

    encode_error(bytes);
    check_refused(bytes, 0, 0, "does not begin like one");
    check_refused(bytes, 15, 0, "does not begin like one");
    check_refused(bytes, CF_GROUP_MESSAGE_SIZE - 1, 0, "wrong length");
    check_refused(bytes, CF_GROUP_MESSAGE_SIZE + 1, 0, "wrong length");
    check_refused(bytes, CF_GROUP_MESSAGE_SIZE, 1, "descriptors where none belong");
}
