/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Publisher and subscribers in PID, IPC, network, mount, UTS and user namespaces of their own. They
 * share one bind-mounted directory and nothing else.
 */
#include <errno.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "harness/isolation.h"
#include "support.h"

#define SHARED_AT "/run/shared"

/* A resident of namespaces of its own. */
struct resident {
    struct test_peer peer;
    struct test_isolation isolation;
};

static void need_namespaces(void)
{
    const char *missing = test_isolation_missing(NULL);

    if (missing)
        SKIP("cannot make namespaces: %s", missing);
}

static void settle(struct resident *r, const char *hostname, unsigned uid, test_peer_body body,
                   void *argument)
{
    struct test_spawn_options options = {.isolation = &r->isolation};

    r->isolation = (struct test_isolation){
        .shared = test_runtime_dir(), .at = SHARED_AT, .hostname = hostname, .inner_uid = uid};
    test_spawn(&r->peer, body, argument, &options);
    CHECK_HEAR(&r->peer, 0);
}

/* Said from inside: nothing is there but the directory. */
static void check_alone(const char *hostname)
{
    struct utsname name;

    CHECK_EQ(getpid(), 1);
    CHECK_EQ(test_count_files("/dev/shm"), 0);
    CHECK_EQ(test_count_files("/dev"), 1);
    CHECK_EQ(test_count_files("/run"), 1);
    CHECK_EQ(access("/usr", F_OK), -1);
    CHECK_EQ(access("/tmp", F_OK), -1);
    CHECK_SYS(uname(&name));
    CHECK_STR_EQ(name.nodename, hostname);
}

static void isolated_publisher(struct test_peer *test, void *argument)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher;
    cuframes_subscriber_info_t list[8];
    uint64_t pts;

    check_alone(argument);
    config.runtime_dir = SHARED_AT;
    publisher = make_publisher(&config);
    test_say(test, 0);
    while (test_hear_or_end(test, &pts)) {
        int count;

        publish(publisher, (int64_t)pts);
        count = cuframes_publisher_subscribers(publisher, list, 8);
        /* A process of another PID namespace has no number here. */
        for (int i = 0; i < count; i++)
            CHECK_EQ(list[i].pid, 0);
        test_say(test, (uint64_t)count);
    }
    cuframes_publisher_destroy(publisher);
}

static void isolated_reader(struct test_peer *test, void *argument)
{
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_subscriber_t *reader;
    cuframes_channel_info_t info;
    cuframes_frame_t *held = NULL;
    uint64_t word;

    check_alone(argument);
    config.runtime_dir = SHARED_AT;
    config.connect_timeout_ms = 5000;
    config.flags = CUFRAMES_SUBSCRIBER_RECONNECT;
    reader = make_subscriber(&config);
    CHECK_OK(cuframes_subscriber_info(reader, &info));
    CHECK_EQ(info.pid, 0);
    test_say(test, 0);
    while (test_hear_or_end(test, &word)) {
        cuframes_frame_t *frame = take_frame(reader);

        if (held)
            check_pattern(held);
        cuframes_frame_release(held);
        held = frame;
        test_say(test, (uint64_t)cuframes_frame_pts_ns(frame));
    }
    cuframes_frame_release(held);
    cuframes_subscriber_destroy(reader);
}

static void check_namespaces_differ(pid_t a, pid_t b)
{
    ino_t of_a[TEST_NAMESPACES], of_b[TEST_NAMESPACES];

    test_namespaces(a, of_a);
    test_namespaces(b, of_b);
    for (int i = 0; i < TEST_NAMESPACES; i++)
        if (of_a[i] == of_b[i])
            FAIL("processes %d and %d share their %s namespace", (int)a, (int)b,
                 test_namespace_names[i]);
}

static void check_all_differ(const struct resident *residents, int count)
{
    for (int i = 0; i < count; i++) {
        check_namespaces_differ(getpid(), residents[i].peer.pid);
        for (int j = 0; j < i; j++)
            check_namespaces_differ(residents[i].peer.pid, residents[j].peer.pid);
    }
}

/* A frame goes to all readers, who check every byte. */
static void pass_frame(struct resident *publisher, struct resident *readers, int count,
                       uint64_t pts)
{
    test_say(&publisher->peer, pts);
    CHECK_HEAR(&publisher->peer, count);
    for (int i = 0; i < count; i++) {
        test_say(&readers[i].peer, 1);
        CHECK_HEAR(&readers[i].peer, pts);
    }
}

TEST(frames_pass_between_namespaces, .timeout_s = 60)
{
    struct resident r[4];

    need_namespaces();
    settle(&r[0], "publisher-box", 0, isolated_publisher, "publisher-box");
    settle(&r[1], "reader-1", 1000, isolated_reader, "reader-1");
    settle(&r[2], "reader-2", 0, isolated_reader, "reader-2");
    settle(&r[3], "reader-3", 4711, isolated_reader, "reader-3");
    check_all_differ(r, 4);
    for (uint64_t pts = 10; pts < 200; pts++)
        pass_frame(&r[0], &r[1], 3, pts);
    for (int i = 3; i >= 0; i--)
        test_join(&r[i].peer);
}

TEST(death_is_seen_across_namespaces, .timeout_s = 60)
{
    struct resident publisher, readers[2];

    need_namespaces();
    settle(&publisher, "publisher-box", 0, isolated_publisher, "publisher-box");
    settle(&readers[0], "reader-1", 1000, isolated_reader, "reader-1");
    settle(&readers[1], "reader-2", 1000, isolated_reader, "reader-2");
    pass_frame(&publisher, readers, 2, 1);
    /* A reader that is killed while it holds a frame. */
    test_kill(&readers[1].peer);
    do {
        test_say(&publisher.peer, 2);
        test_say(&readers[0].peer, 1);
        CHECK_HEAR(&readers[0].peer, 2);
    } while (test_hear(&publisher.peer) != 1);
    pass_frame(&publisher, readers, 1, 3);
    /* A publisher that is killed; the next takes over its socket, from other namespaces. */
    test_kill(&publisher.peer);
    test_say(&readers[0].peer, 1);
    settle(&publisher, "another-box", 0, isolated_publisher, "another-box");
    do
        test_say(&publisher.peer, 4);
    while (test_hear(&publisher.peer) != 1);
    CHECK_HEAR(&readers[0].peer, 4);
    test_say(&publisher.peer, 5);
    CHECK_HEAR(&publisher.peer, 1);
    /* Between its return and the count there may have been a second frame 4. */
    do
        test_say(&readers[0].peer, 1);
    while (test_hear(&readers[0].peer) != 5);
    test_join(&readers[0].peer);
    test_join(&publisher.peer);
    CHECK_EQ(test_count_files(test_runtime_dir()), 0);
}

static void isolated_rival(struct test_peer *test, void *argument)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher = NULL;
    cuframes_channel_report_t *report;

    check_alone(argument);
    config.runtime_dir = SHARED_AT;
    CHECK_ERR(cuframes_publisher_create(&config, &publisher), CUFRAMES_ERR_ALREADY_EXISTS);
    CHECK_OK(cuframes_query(SHARED_AT, "cam", 1000, &report));
    CHECK_EQ(report->info.width, 64);
    CHECK_EQ(report->info.pid, 0);
    cuframes_channel_report_free(report);
    test_say(test, 0);
    test_hear_end(test);
}

TEST(key_belongs_to_one_across_namespaces, .timeout_s = 60)
{
    struct resident publisher, rival;

    need_namespaces();
    settle(&publisher, "publisher-box", 0, isolated_publisher, "publisher-box");
    settle(&rival, "rival-box", 0, isolated_rival, "rival-box");
    check_namespaces_differ(publisher.peer.pid, rival.peer.pid);
    test_join(&rival.peer);
    test_join(&publisher.peer);
}
