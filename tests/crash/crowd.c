/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crowd.h"

#include <sys/mman.h>
#include <unistd.h>

#include "integration/support.h"

#define WAIT_MS 200

struct member {
    struct crowd_board *board;
    int index;
    bool complete;
    uint32_t memory, flags;
    void (*check)(const cuframes_frame_t *frame);
};

cuframes_publisher_config_t crowd_channel(cuframes_policy_t policy)
{
    return (cuframes_publisher_config_t){
        .key = CROWD_KEY,
        .width = 128,
        .height = 96,
        .format = CUFRAMES_FORMAT_GRAYSCALE,
        .ring_size = 8,
        .policy = policy,
        .consumer_ack_timeout_ms = 100,
        .max_holds = 2,
        .memory = CUFRAMES_MEMORY_HOST,
    };
}

void crowd_publish(cuframes_publisher_t *publisher, int64_t first, int count, unsigned pause_us)
{
    for (int i = 0; i < count; i++) {
        cuframes_frame_meta_t meta = {.pts_ns = first + i};
        cuframes_buffer_t *buffer;
        int err = cuframes_publisher_acquire_buffer(publisher, &buffer);

        if (err == CUFRAMES_OK) {
            fill_pattern(cuframes_buffer_data(buffer), cuframes_buffer_layout(buffer)->size,
                         meta.pts_ns);
            CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, NULL, &meta, NULL));
            cuframes_buffer_unref(buffer);
        } else {
            CHECK_EQ(err, CUFRAMES_ERR_WOULD_BLOCK);
        }
        usleep(pause_us);
    }
}

/* The next frame of whoever publishes; waits for ever, in steps that must each end in time. */
static cuframes_frame_t *next_frame(cuframes_subscriber_t *reader, const struct member *me)
{
    for (;;) {
        int64_t before = cuframes_now_ns(), took;
        cuframes_frame_t *frame;
        int err = cuframes_subscriber_next(reader, NULL, &frame, WAIT_MS);

        took = cuframes_now_ns() - before;
        if (took > atomic_load(&me->board->longest_ns))
            atomic_store(&me->board->longest_ns, took);
        if (err == CUFRAMES_OK)
            return frame;
        CHECK_EQ(err, CUFRAMES_ERR_TIMEOUT);
        CHECK_LT(took, INT64_C(1000000) * test_patience_ms());
    }
}

static void check_order(const cuframes_frame_t *frame, const cuframes_frame_t *before,
                        bool complete)
{
    if (cuframes_frame_flags(frame) & CUFRAMES_FRAME_DISCONTINUITY)
        return;
    CHECK_GT(cuframes_frame_seq(frame), cuframes_frame_seq(before));
    CHECK_EQ(cuframes_frame_missed(frame),
             cuframes_frame_seq(frame) - cuframes_frame_seq(before) - 1);
    if (complete)
        CHECK_EQ(cuframes_frame_missed(frame), 0U);
}

static void be_in_the_crowd(struct test_peer *test, void *argument)
{
    const struct member *me = argument;
    cuframes_subscriber_config_t config = {
        .key = CROWD_KEY,
        .mode = me->index == 1 ? CUFRAMES_MODE_STRICT_ORDER : CUFRAMES_MODE_NEWEST_ONLY,
        .connect_timeout_ms = -1,
        .flags = CUFRAMES_SUBSCRIBER_RECONNECT | me->flags |
                 (me->index == 2 ? CUFRAMES_SUBSCRIBER_POLL : 0),
        .max_holds = 2,
        .memory = me->memory,
    };
    cuframes_subscriber_t *reader = make_subscriber(&config);
    cuframes_frame_t *frame, *before = NULL;
    bool end = false;

    (void)test;
    atomic_fetch_add(&me->board->attached, 1);
    while (!end) {
        frame = next_frame(reader, me);
        me->check(frame);
        atomic_fetch_add(&me->board->verified, 1);
        if (before) {
            check_order(frame, before, me->complete && me->index == 1);
            /* Held all the time, whatever became of its publisher. */
            if (cuframes_frame_check(before) == CUFRAMES_OK)
                me->check(before);
            cuframes_frame_release(before);
        }
        end = cuframes_frame_pts_ns(frame) == CROWD_END;
        before = frame;
    }
    cuframes_frame_release(before);
    CHECK_OK(cuframes_subscriber_destroy(reader));
}

void crowd_start(struct crowd *crowd, bool complete)
{
    static const struct crowd_eyes processor;

    crowd_start_with(crowd, complete, &processor);
}

void crowd_start_with(struct crowd *crowd, bool complete, const struct crowd_eyes *eyes)
{
    crowd->board = mmap(NULL, sizeof(*crowd->board), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(crowd->board != MAP_FAILED);
    for (int i = 0; i < CROWD; i++) {
        struct member member = {
            .board = crowd->board,
            .index = i,
            .complete = complete,
            .memory = eyes->memory[i],
            .flags = eyes->flags[i],
            .check = eyes->check[i] ? eyes->check[i] : check_pattern,
        };

        test_spawn(&crowd->peers[i], be_in_the_crowd, &member, NULL);
    }
}

void crowd_wait(const struct crowd *crowd)
{
    WAIT_FOR(atomic_load(&crowd->board->attached) == CROWD, test_patience_ms());
}

void crowd_finish(struct crowd *crowd)
{
    for (int i = 0; i < CROWD; i++)
        test_join(&crowd->peers[i]);
    munmap(crowd->board, sizeof(*crowd->board));
}
