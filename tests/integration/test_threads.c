/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads of one process: many of them come and go, publish, release and ask at once; and the
 * subscriber that calls back from a thread of the library.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"

#define THREADS 4

/* What the threads of a test share. */
struct storm {
    cuframes_publisher_t *publisher;
    atomic_bool stop;
    atomic_uint frames;
};

static void *publish_till_stop(void *argument)
{
    struct storm *s = argument;

    for (int64_t i = 0; !atomic_load(&s->stop); i++) {
        cuframes_buffer_t *buffer;
        cuframes_frame_meta_t meta = {.pts_ns = i};
        int err = cuframes_publisher_acquire_buffer(s->publisher, &buffer);

        if (err) {
            CHECK_EQ(err, CUFRAMES_ERR_WOULD_BLOCK);
            continue;
        }
        fill_pattern(cuframes_buffer_data(buffer), cuframes_buffer_layout(buffer)->size, i);
        CHECK_OK(cuframes_publisher_publish_buffer(s->publisher, buffer, NULL, &meta, NULL));
        cuframes_buffer_unref(buffer);
        if (i % 16 == 0)
            test_pause_until(cuframes_now_ns() + 1);
    }
    return NULL;
}

static void start(pthread_t *threads, int count, void *(*body)(void *), void *argument)
{
    for (int i = 0; i < count; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, body, argument), 0);
}

static void join(pthread_t *threads, int count)
{
    for (int i = 0; i < count; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

static void *subscribe_again_and_again(void *argument)
{
    struct storm *s = argument;

    for (int i = 0; i < 60; i++) {
        cuframes_subscriber_t *reader = make_reader("cam", i % 2);
        cuframes_frame_t *frame = take_frame(reader);

        atomic_fetch_add(&s->frames, 1);
        if (i % 3 == 0) {
            cuframes_subscriber_destroy(reader);
            check_pattern(frame);
            cuframes_frame_release(frame);
        } else {
            cuframes_frame_release(frame);
            cuframes_subscriber_destroy(reader);
        }
    }
    return NULL;
}

TEST(subscribers_come_and_go_in_threads, .threads = true, .timeout_s = 60)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct storm s = {0};
    pthread_t publishing, threads[THREADS];

    config.ring_size = 16;
    s.publisher = make_publisher(&config);
    start(&publishing, 1, publish_till_stop, &s);
    start(threads, THREADS, subscribe_again_and_again, &s);
    join(threads, THREADS);
    atomic_store(&s.stop, true);
    join(&publishing, 1);
    CHECK_EQ(atomic_load(&s.frames), 60U * THREADS);
    WAIT_FOR(publisher_stats(s.publisher).subscribers == 0, 2000);
    CHECK_EQ(publisher_stats(s.publisher).slots_held, 0U);
    cuframes_publisher_destroy(s.publisher);
}

static void *publish_a_hundred(void *argument)
{
    struct storm *s = argument;

    publish_many(s->publisher, 0, 100);
    return NULL;
}

TEST(threads_publish_at_once, .threads = true)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct storm s = {0};
    cuframes_subscriber_t *reader;
    pthread_t threads[THREADS];

    config.ring_size = 2 * THREADS + 2;
    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = -1;
    s.publisher = make_publisher(&config);
    reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    start(threads, THREADS, publish_a_hundred, &s);
    for (uint64_t i = 0; i < 100 * THREADS; i++) {
        cuframes_frame_t *frame = take_frame(reader);

        CHECK_EQ(cuframes_frame_seq(frame), i);
        cuframes_frame_release(frame);
    }
    join(threads, THREADS);
    CHECK_EQ(publisher_stats(s.publisher).published, 100U * THREADS);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(s.publisher);
}

/* Frames that one thread takes and others release. */
struct exchange {
    pthread_mutex_t lock;
    cuframes_frame_t *frames[64];
    unsigned count;
    bool end;
};

static void *release_what_comes(void *argument)
{
    struct exchange *e = argument;
    bool end = false;

    while (!end) {
        cuframes_frame_t *frame = NULL;

        pthread_mutex_lock(&e->lock);
        end = e->end && e->count == 0;
        if (e->count > 0)
            frame = e->frames[--e->count];
        pthread_mutex_unlock(&e->lock);
        if (!frame) {
            sched_yield();
            continue;
        }
        check_pattern(frame);
        CHECK_OK(cuframes_frame_release(frame));
    }
    return NULL;
}

TEST(frames_are_released_by_other_threads, .threads = true, .timeout_s = 60)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    struct exchange e = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct storm s = {0};
    cuframes_subscriber_t *reader;
    pthread_t publishing, threads[THREADS];

    config.ring_size = 16;
    s.publisher = make_publisher(&config);
    wanted.max_holds = 12;
    reader = make_subscriber(&wanted);
    start(&publishing, 1, publish_till_stop, &s);
    start(threads, THREADS, release_what_comes, &e);
    for (int taken = 0; taken < 1000;) {
        cuframes_frame_t *frame;
        int err = cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms());

        if (err == CUFRAMES_ERR_TOO_MANY) {
            sched_yield();
            continue;
        }
        CHECK_OK(err);
        taken++;
        pthread_mutex_lock(&e.lock);
        e.frames[e.count++] = frame;
        pthread_mutex_unlock(&e.lock);
    }
    pthread_mutex_lock(&e.lock);
    e.end = true;
    pthread_mutex_unlock(&e.lock);
    join(threads, THREADS);
    atomic_store(&s.stop, true);
    join(&publishing, 1);
    CHECK_EQ(subscriber_stats(reader).held, 0U);
    CHECK_EQ(publisher_stats(s.publisher).slots_held, 0U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(s.publisher);
}

static void *ask_everything(void *argument)
{
    struct storm *s = argument;

    while (!atomic_load(&s->stop)) {
        cuframes_subscriber_info_t list[8];
        cuframes_channel_report_t *report;
        cuframes_channel_info_t info;

        CHECK_OK(cuframes_publisher_info(s->publisher, &info));
        CHECK_GE(cuframes_publisher_subscribers(s->publisher, list, 8), 0);
        publisher_stats(s->publisher);
        CHECK_OK(cuframes_query(NULL, "cam", test_patience_ms(), &report));
        CHECK_STR_EQ(report->info.key, "cam");
        cuframes_channel_report_free(report);
    }
    return NULL;
}

TEST(questions_changes_and_frames_at_once, .threads = true, .timeout_s = 60)
{
    struct storm s = {.publisher = make_small_publisher("cam")};
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    pthread_t publishing, asking[2];
    uint32_t generation = 0;

    start(&publishing, 1, publish_till_stop, &s);
    start(asking, 2, ask_everything, &s);
    for (int i = 0; i < 60; i++) {
        cuframes_publisher_config_t config = small_config(NULL);
        cuframes_frame_t *frame;

        config.width = 32 + i;
        CHECK_OK(cuframes_publisher_reconfigure(s.publisher, &config));
        frame = take_frame(reader);
        CHECK_GE(cuframes_frame_generation(frame), generation);
        generation = cuframes_frame_generation(frame);
        cuframes_frame_release(frame);
    }
    atomic_store(&s.stop, true);
    join(&publishing, 1);
    join(asking, 2);
    CHECK_GT(generation, 1U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(s.publisher);
}

static void *make_and_end_publishers(void *argument)
{
    static atomic_uint numbers;
    unsigned number = atomic_fetch_add(&numbers, 1);

    (void)argument;
    for (int i = 0; i < 40; i++) {
        cuframes_publisher_t *publisher;
        cuframes_subscriber_t *reader;
        char key[16];

        snprintf(key, sizeof(key), "cam%u", number);
        publisher = make_small_publisher(key);
        reader = make_reader(key, CUFRAMES_MODE_NEWEST_ONLY);
        publish(publisher, i);
        expect_frame(reader, i);
        if (i % 2)
            cuframes_subscriber_destroy(reader);
        cuframes_publisher_destroy(publisher);
        if (i % 2 == 0)
            cuframes_subscriber_destroy(reader);
    }
    return NULL;
}

TEST(publishers_come_and_go_in_threads, .threads = true, .timeout_s = 60)
{
    pthread_t threads[THREADS];

    start(threads, THREADS, make_and_end_publishers, NULL);
    join(threads, THREADS);
}

static void *compete_for_a_key(void *argument)
{
    struct storm *s = argument;
    cuframes_publisher_config_t config = small_config("cam");

    for (int i = 0; i < 40; i++) {
        cuframes_publisher_t *publisher;
        int err = cuframes_publisher_create(&config, &publisher);

        if (err) {
            CHECK_EQ(err, CUFRAMES_ERR_ALREADY_EXISTS);
            continue;
        }
        CHECK_EQ(atomic_fetch_add(&s->frames, 1), 0U);
        sched_yield();
        CHECK_EQ(atomic_fetch_sub(&s->frames, 1), 1U);
        cuframes_publisher_destroy(publisher);
    }
    return NULL;
}

TEST(one_of_many_gets_the_key, .threads = true, .timeout_s = 60)
{
    struct storm s = {0};
    pthread_t threads[THREADS];

    start(threads, THREADS, compete_for_a_key, &s);
    join(threads, THREADS);
}

static void *hand_in_connections(void *argument)
{
    struct storm *s = argument;

    for (int i = 0; i < 40; i++) {
        cuframes_subscriber_config_t config = {0};
        cuframes_subscriber_t *reader;
        int ends[2];

        CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
        CHECK_OK(cuframes_publisher_add_client(s->publisher, ends[0]));
        CHECK_OK(cuframes_subscriber_create_from_fd(&config, ends[1], &reader));
        cuframes_subscriber_destroy(reader);
    }
    return NULL;
}

TEST(connections_are_handed_in_by_threads, .threads = true)
{
    struct storm s = {.publisher = make_small_publisher("cam")};
    pthread_t threads[THREADS];
    int ends[2];

    start(threads, THREADS, hand_in_connections, &s);
    join(threads, THREADS);
    /* One that the service thread has not looked at yet when the channel closes. */
    CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
    CHECK_OK(cuframes_publisher_add_client(s.publisher, ends[0]));
    cuframes_publisher_destroy(s.publisher);
    close(ends[1]);
}

/* ---- callbacks ---- */

struct listener {
    atomic_int_fast64_t newest;
    atomic_uint count;
    atomic_bool slow;
    cuframes_async_subscriber_t *self;
    atomic_int refused; /* what destroy said inside the callback */
};

static void hear_frame(const cuframes_frame_t *frame, void *user)
{
    struct listener *l = user;

    check_pattern(frame);
    atomic_store(&l->newest, cuframes_frame_pts_ns(frame));
    atomic_fetch_add(&l->count, 1);
    while (atomic_load(&l->slow))
        sched_yield();
}

TEST(callback_gets_every_frame_in_order, .threads = true)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    struct listener l = {.newest = -1};
    cuframes_async_subscriber_t *async = NULL;
    cuframes_subscriber_stats_t stats;
    cuframes_publisher_t *publisher;

    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = -1;
    publisher = make_publisher(&config);
    CHECK_OK(cuframes_async_subscriber_create(&wanted, hear_frame, &l, &async));
    publish_many(publisher, 0, 300);
    WAIT_FOR(atomic_load(&l.newest) == 299, 10000);
    CHECK_EQ(atomic_load(&l.count), 300U);
    CHECK_ERR(cuframes_async_subscriber_wait(async, 20), CUFRAMES_ERR_TIMEOUT);
    CHECK_OK(cuframes_async_subscriber_stats(async, &stats));
    CHECK_EQ(stats.received, 300U);
    CHECK_OK(cuframes_async_subscriber_destroy(async));
    CHECK_OK(cuframes_async_subscriber_destroy(NULL));
    cuframes_publisher_destroy(publisher);
}

TEST(callbacks_end_when_the_publisher_does, .threads = true)
{
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    struct listener l = {0};
    cuframes_async_subscriber_t *async = NULL;

    CHECK_OK(cuframes_async_subscriber_create(&wanted, hear_frame, &l, &async));
    publish(publisher, 1);
    cuframes_publisher_destroy(publisher);
    CHECK_ERR_SAYS(cuframes_async_subscriber_wait(async, -1), CUFRAMES_ERR_DISCONNECTED, "cam");
    CHECK_EQ(atomic_load(&l.count), 1U);
    CHECK_OK(cuframes_async_subscriber_destroy(async));
}

TEST(callbacks_go_on_after_a_reconnect, .threads = true)
{
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    struct listener l = {.newest = -1};
    cuframes_async_subscriber_t *async = NULL;
    int64_t deadline = test_deadline_ms(10000);
    cuframes_subscriber_stats_t stats;

    wanted.flags = CUFRAMES_SUBSCRIBER_RECONNECT;
    CHECK_OK(cuframes_async_subscriber_create(&wanted, hear_frame, &l, &async));
    for (int i = 0; i < 3; i++) {
        publish(publisher, i);
        WAIT_FOR(atomic_load(&l.newest) == i, 10000);
        cuframes_publisher_destroy(publisher);
        publisher = make_small_publisher("cam");
    }
    do
        CHECK_OK(cuframes_async_subscriber_stats(async, &stats));
    while (stats.reconnects < 3 && test_pause_until(deadline));
    CHECK_EQ(stats.reconnects, 3U);
    CHECK_OK(cuframes_async_subscriber_destroy(async));
    cuframes_publisher_destroy(publisher);
}

TEST(destroy_waits_for_the_callback, .threads = true)
{
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_publisher_t *publisher = make_small_publisher("cam");

    for (int i = 0; i < 20; i++) {
        struct listener l = {0};
        cuframes_async_subscriber_t *async = NULL;

        CHECK_OK(cuframes_async_subscriber_create(&wanted, hear_frame, &l, &async));
        publish(publisher, i);
        if (i % 2)
            WAIT_FOR(atomic_load(&l.count) > 0, 5000);
        CHECK_OK(cuframes_async_subscriber_destroy(async));
        memset(&l, 0xff, sizeof(l)); /* nobody looks at it any more */
    }
    cuframes_publisher_destroy(publisher);
}

static void destroy_self(const cuframes_frame_t *frame, void *user)
{
    struct listener *l = user;

    (void)frame;
    atomic_store(&l->refused, cuframes_async_subscriber_destroy(l->self));
    atomic_fetch_add(&l->count, 1);
}

TEST(callback_cannot_destroy_its_subscriber, .threads = true)
{
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    struct listener l = {0};

    CHECK_OK(cuframes_async_subscriber_create(&wanted, destroy_self, &l, &l.self));
    publish(publisher, 1);
    WAIT_FOR(atomic_load(&l.count) == 1, 10000);
    CHECK_EQ(atomic_load(&l.refused), CUFRAMES_ERR_INVALID_ARG);
    CHECK_OK(cuframes_async_subscriber_destroy(l.self));
    cuframes_publisher_destroy(publisher);
}

TEST(callback_subscriber_needs_a_publisher_and_a_callback)
{
    cuframes_subscriber_config_t wanted = reader_config("nobody", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_async_subscriber_t *async = NULL;
    struct listener l = {0};

    CHECK_ERR(cuframes_async_subscriber_create(&wanted, hear_frame, &l, &async),
              CUFRAMES_ERR_NOT_FOUND);
    CHECK_ERR(cuframes_async_subscriber_create(&wanted, NULL, &l, &async),
              CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_async_subscriber_create(NULL, hear_frame, &l, &async),
              CUFRAMES_ERR_INVALID_ARG);
    CHECK(!async);
}
