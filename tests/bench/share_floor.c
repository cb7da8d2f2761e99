/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * No sharing: draws pictures into private memory (write), or reads them there (read). What is left
 * of the others when this is taken away is the price of the way between. ENDPOINT is not used.
 */
#include <stdlib.h>
#include <string.h>

#include "share.h"

/* As many places as the other ways have slots. */
#define SLOTS 8

int main(int argc, char **argv)
{
    struct share share;
    uint8_t *memory;

    share_init(&share, argc, argv);
    memory = malloc(SLOTS * SHARE_SIZE);
    if (!memory)
        share_fail("no memory for slots");
    memset(memory, 1, SLOTS * SHARE_SIZE);
    while (!share_is_done(&share)) {
        uint8_t *slot = memory + (size_t)(share.done % SLOTS) * SHARE_SIZE;

        share_pace(&share);
        if (share.write)
            share_draw(&share, slot);
        else
            share_read(&share, slot);
    }
    share_finish(&share);
    free(memory);
    return 0;
}
