/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine that has no time, and a process that has no memory: nothing is torn, nothing is lost
 * that was promised, and what cannot be had is refused by name. Nothing here looks at how long it
 * takes.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/limits.h"
#include "integration/group_ranks.h"
#include "integration/support.h"

#define BUSY   200
#define FRAMES 40
#define ROUNDS 3

/* ---- two cores, 200 busy processes ---- */

static pid_t busy[BUSY];

static void start_busy(void)
{
    for (int i = 0; i < BUSY; i++) {
        busy[i] = CHECK_SYS(fork());
        if (busy[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (volatile unsigned spin = 0;; spin++)
                ;
        }
    }
}

static void end_busy(void)
{
    for (int i = 0; i < BUSY; i++)
        kill(busy[i], SIGKILL);
    for (int i = 0; i < BUSY; i++)
        waitpid(busy[i], NULL, 0);
}

static void read_in_order(struct test_peer *test, void *argument)
{
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);

    (void)argument;
    test_say(test, 0);
    for (int64_t pts = 0; pts < FRAMES; pts++)
        expect_frame(reader, pts);
    cuframes_subscriber_destroy(reader);
    test_say(test, FRAMES);
}

static void read_newest(struct test_peer *test, void *argument)
{
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    int64_t pts = -1;
    uint64_t taken = 0;

    (void)argument;
    test_say(test, 0);
    for (; pts < FRAMES - 1; taken++) {
        cuframes_frame_t *frame = take_frame(reader);

        CHECK_GT(cuframes_frame_pts_ns(frame), pts);
        pts = cuframes_frame_pts_ns(frame);
        CHECK_OK(cuframes_frame_check(frame));
        cuframes_frame_release(frame);
    }
    cuframes_subscriber_destroy(reader);
    test_say(test, taken);
}

static void meet(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    (void)test, (void)plan;
    for (int i = 0; i < ROUNDS; i++) {
        int32_t mine = i, all[3];

        CHECK_OK(cuframes_group_barrier(group, 0, TIMEOUT_MS));
        CHECK_OK(cuframes_group_all_gather(group, &mine, sizeof(mine), all, TIMEOUT_MS));
        for (int rank = 0; rank < 3; rank++)
            CHECK_EQ(all[rank], i);
    }
}

/* In a session of its own, so that a scheduler which shares time between sessions gives this one no
 * more than the busy ones beside it. */
static void share_time(struct test_peer *test, void *argument)
{
    cuframes_publisher_config_t config = small_config("cam");
    static struct test_peer ranks[3], readers[3];
    cuframes_publisher_t *publisher;
    uint64_t verified = 0;

    (void)argument;
    CHECK_SYS(setsid());
    start_busy();
    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = -1;
    publisher = make_publisher(&config);
    start_ranks(ranks, (struct plan){.name = "g", .size = 3, .body = meet});
    for (int i = 0; i < 3; i++) {
        test_spawn(&readers[i], i < 2 ? read_in_order : read_newest, NULL, NULL);
        CHECK_HEAR(&readers[i], 0);
    }
    publish_many(publisher, 0, FRAMES);
    for (int i = 0; i < 3; i++) {
        verified += test_hear(&readers[i]);
        test_join(&readers[i]);
    }
    join_ranks(ranks, 3);
    end_busy();
    CHECK_EQ(publisher_stats(publisher).evicted, 0U);
    CHECK_EQ(publisher_stats(publisher).dropped, 0U);
    cuframes_publisher_destroy(publisher);
    test_say(test, verified);
}

TEST(two_hundred_busy_processes, .timeout_s = 120)
{
    struct test_peer peer;
    cpu_set_t two;
    uint64_t verified = 0;

    CPU_ZERO(&two);
    CPU_SET(0, &two);
    CPU_SET(1, &two);
    /* Fewer than two cores are busy enough. */
    sched_setaffinity(0, sizeof(two), &two);
    test_spawn(&peer, share_time, NULL, NULL);
    for (int64_t end = test_deadline_ms(90000); !verified;)
        if (test_readable(peer.channel, 1000))
            verified = test_hear(&peer);
        else if (cuframes_now_ns() > end)
            FAIL("no end in 90 s");
    test_join(&peer);
    CHECK_GE(verified, 2U * FRAMES + 1);
    test_report("beside %d busy processes on two cores: %" PRIu64
                " frames verified, 0 torn, 0 lost; %d rounds of a group\n",
                BUSY, verified, ROUNDS);
}

/* ---- a control group's memory ---- */

#define GROUP_BYTES (48 << 20)

/* "<root>/<this process's group>/cuframes-test-<pid>", by the version of control groups that has
 * memory here. */
static void name_group(char *path, size_t size, const char **limit)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[512], *group;

    *limit = NULL;
    while (file && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        group = strrchr(line, ':') + 1;
        if (strstr(line, ":memory:"))
            *limit = "memory.limit_in_bytes";
        else if (strncmp(line, "0::", 3) == 0 && !*limit)
            *limit = "memory.max";
        else
            continue;
        snprintf(path, size, "/sys/fs/cgroup%s%s/cuframes-test-%d",
                 strcmp(*limit, "memory.max") == 0 ? "" : "/memory",
                 strcmp(group, "/") == 0 ? "" : group, (int)getpid());
        if (strstr(line, ":memory:"))
            break;
    }
    if (file)
        fclose(file);
    if (!*limit)
        SKIP("no control groups here");
}

static bool write_to(const char *group, const char *name, long long number)
{
    char path[700], text[32];
    int fd, length;
    bool written;

    snprintf(path, sizeof(path), "%s/%s", group, name);
    if ((fd = open(path, O_WRONLY | O_CLOEXEC)) < 0)
        return false;
    length = snprintf(text, sizeof(text), "%lld", number);
    written = write(fd, text, (size_t)length) == length;
    close(fd);
    return written;
}

/* A publisher that is only in the group. */
static void publish_in_group(struct test_peer *test, void *argument)
{
    const cuframes_packet_ring_options_t packets = {.data_size = 256 << 20};
    cuframes_publisher_config_t config = small_config("cam"), large = small_config("cam");
    cuframes_publisher_t *publisher = NULL;

    if (!write_to(argument, "cgroup.procs", getpid())) {
        test_say(test, 1);
        return;
    }
    large.width = large.height = 8192;
    CHECK_ERR_SAYS(cuframes_publisher_create(&large, &publisher), CUFRAMES_ERR_OUT_OF_MEMORY,
                   "control group");
    publisher = make_publisher(&config);
    test_say(test, 0);
    test_hear(test);
    CHECK_ERR_SAYS(cuframes_publisher_enable_packets(publisher, &packets),
                   CUFRAMES_ERR_OUT_OF_MEMORY, "control group");
    CHECK_ERR_SAYS(cuframes_publisher_reconfigure(publisher, &large), CUFRAMES_ERR_OUT_OF_MEMORY,
                   "control group");
    publish(publisher, 5);
    test_say(test, 0);
    test_hear_end(test);
    cuframes_publisher_destroy(publisher);
}

TEST(a_control_group_with_little_memory)
{
    cuframes_subscriber_t *reader;
    struct test_peer peer;
    const char *limit;
    char group[600];
    uint64_t refused;

    name_group(group, sizeof(group), &limit);
    if (mkdir(group, 0755) != 0)
        SKIP("cannot make a control group (%s): %m", group);
    if (!write_to(group, limit, GROUP_BYTES)) {
        rmdir(group);
        SKIP("cannot limit the memory of a control group here");
    }
    test_spawn(&peer, publish_in_group, group, NULL);
    refused = test_hear(&peer);
    if (!refused) {
        reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
        test_say(&peer, 0);
        CHECK_HEAR(&peer, 0);
        /* What was refused has changed nothing. */
        expect_frame(reader, 5);
        cuframes_subscriber_destroy(reader);
    }
    test_join(&peer);
    WAIT_FOR(rmdir(group) == 0, 2000);
    if (refused)
        SKIP("cannot move a process into a control group here");
}
