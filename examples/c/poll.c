/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waits for several channels at once with poll(), as a program with an event loop does.
 *
 *   poll FRAMES KEY...        ends after FRAMES frames in all; 0: when every publisher has ended
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <cuframes/cuframes.h>

enum { MOST = 16 };

struct reader {
    const char *key;
    cuframes_subscriber_t *subscriber;
};

/* Takes every frame that is there. Returns how many, or an error. */
static long drain(struct reader *reader)
{
    for (long taken = 0;; taken++) {
        cuframes_frame_t *frame;
        int result = cuframes_subscriber_next(reader->subscriber, NULL, &frame, 0);
        if (result == CUFRAMES_ERR_WOULD_BLOCK)
            return taken; /* the descriptor tells when there is more */
        if (result != CUFRAMES_OK)
            return result;
        printf("%s %" PRIu64 "\n", reader->key, cuframes_frame_seq(frame));
        cuframes_frame_release(frame);
    }
}

static int attach(struct reader *reader, struct pollfd *slot)
{
    cuframes_subscriber_config_t config = {0};
    config.key = reader->key;
    config.connect_timeout_ms = 5000;
    config.flags = CUFRAMES_SUBSCRIBER_POLL;
    if (cuframes_subscriber_create(&config, &reader->subscriber) != CUFRAMES_OK)
        return -1;
    slot->fd = cuframes_subscriber_fd(reader->subscriber);
    slot->events = POLLIN;
    return slot->fd < 0 ? -1 : 0;
}

static int fail(const char *key)
{
    fprintf(stderr, "poll: %s: %s\n", key, cuframes_last_error());
    return 1;
}

/* Serves the readers until `frames` frames have come, or all publishers have ended. */
static int serve(struct reader *readers, struct pollfd *slots, unsigned count, long frames)
{
    long total = 0;
    unsigned open = count;
    for (;;) {
        /* Before the first poll() too: taking all there is arms the descriptor. */
        for (unsigned i = 0; i < count; i++) {
            long taken = slots[i].fd < 0 ? 0 : drain(&readers[i]);
            if (taken == CUFRAMES_ERR_DISCONNECTED) {
                slots[i].fd = -1; /* poll() leaves it out from now on */
                open--;
            } else if (taken < 0) {
                return fail(readers[i].key);
            } else {
                total += taken;
            }
        }
        if (open == 0 || (frames > 0 && total >= frames))
            return 0;
        if (poll(slots, count, 5000) <= 0) {
            fprintf(stderr, "poll: no frame for 5 s\n");
            return 1;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc - 2 > MOST) {
        fprintf(stderr, "usage: poll FRAMES KEY... (at most %d keys)\n", MOST);
        return 2;
    }
    struct reader readers[MOST] = {0};
    struct pollfd slots[MOST] = {0};
    unsigned count = (unsigned)argc - 2;
    int status = 0;
    for (unsigned i = 0; i < count && status == 0; i++) {
        readers[i].key = argv[i + 2];
        if (attach(&readers[i], &slots[i]) < 0)
            status = fail(readers[i].key);
    }
    if (status == 0)
        status = serve(readers, slots, count, strtol(argv[1], NULL, 10));
    for (unsigned i = 0; i < count; i++)
        cuframes_subscriber_destroy(readers[i].subscriber);
    return status;
}
