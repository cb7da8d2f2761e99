/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The decoder of group messages. First byte: how many descriptors came; the rest: the record.
 */
#include <string.h>

#include <cuframes/error.h>
#include <cuframes/group.h>

#include "fuzz.h"
#include "wire/group_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE], again[CF_GROUP_MESSAGE_SIZE];
    struct cf_group_message first, second;

    if (size == 0 || cf_group_message_decode(data + 1, size - 1, data[0], &first) != CUFRAMES_OK)
        return 0;
    FUZZ_REQUIRE(memchr(first.text, 0, sizeof(first.text)));
    FUZZ_REQUIRE(first.type != CF_GROUP_START || first.rank < first.size);
    if (first.type == CF_GROUP_GIVE || first.type == CF_GROUP_TAKE)
        FUZZ_REQUIRE(first.total <= CUFRAMES_GROUP_MAX_FDS &&
                     (uint64_t)first.offset + data[0] <= first.total);
    cf_group_message_encode(&first, bytes);
    FUZZ_REQUIRE(cf_group_message_decode(bytes, sizeof(bytes), data[0], &second) == CUFRAMES_OK);
    cf_group_message_encode(&second, again);
    FUZZ_REQUIRE(memcmp(bytes, again, sizeof(bytes)) == 0);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const struct {
        struct cf_group_message message;
        uint8_t fds;
    } seeds[] = {
        {{.type = CF_GROUP_JOIN, .rank = CF_GROUP_RANK_ANY, .size = 4}, 0},
        {{.type = CF_GROUP_LEAVE, .rank = 1, .size = 4}, 0},
        {{.type = CF_GROUP_GIVE, .rank = 1, .size = 4, .round = 2, .total = 9, .offset = 5}, 4},
        {{.type = CF_GROUP_START, .rank = 3, .size = 4}, 1},
        {{.type = CF_GROUP_ERROR, .rank = 2, .error = CUFRAMES_ERR_TIMEOUT, .text = "late"}, 0},
        {{.type = CF_GROUP_TAKE, .round = 2, .total = 300, .offset = 253}, 47},
    };

    if (index >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    data[0] = seeds[index].fds;
    cf_group_message_encode(&seeds[index].message, data + 1);
    return 1 + CF_GROUP_MESSAGE_SIZE;
}
