/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every system call of the library's table fails once, at every place where it is made: the caller
 * is told, nothing leaks, and afterwards everything works.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/fault.h"
#include "harness/resources.h"
#include "packet_support.h"

/* A step that may fail and that leaves nothing behind, neither when it does nor when it does not. */
typedef int (*attempt)(void *argument);

/* More calls of one kind than any attempt makes. */
#define MOST_CALLS 200

/* Fails the nth call of a kind during the attempt. False: there was no nth call. */
static bool fail_one(attempt try, void *argument, enum test_fault call, unsigned nth)
{
    int err;

    test_fault_arm(call, nth, 0);
    err = try(argument);
    if (!test_fault_disarm()) {
        if (err)
            FAIL("without a fault: %s: %s", cuframes_strerror(err), cuframes_last_error());
        return false;
    }
    /* Some failures are made up for: it then works as if nothing had happened. */
    if (err && !*cuframes_last_error())
        FAIL("call %u of %s failed: %s without a sentence", nth, test_fault_name(call),
             cuframes_strerror(err));
    if (err == CUFRAMES_ERR_INTERNAL || err == CUFRAMES_ERR_INVALID_ARG)
        FAIL("call %u of %s failed: %s: %s", nth, test_fault_name(call), cuframes_strerror(err),
             cuframes_last_error());
    return true;
}

/* Gives how many calls were failed. */
static unsigned fail_each(attempt try, void *argument)
{
    struct test_resources before;
    unsigned failed = 0;

    test_fault_install();
    CHECK_OK(try(argument));
    test_resources_take(&before);
    for (int call = 0; call < TEST_FAULT_COUNT; call++) {
        unsigned nth = 1;

        while (fail_one(try, argument, (enum test_fault)call, nth)) {
            char when[64];

            snprintf(when, sizeof(when), "after call %u of %s failed", nth,
                     test_fault_name((enum test_fault)call));
            CHECK_NO_LEAK(&before, when);
            CHECK_OK(try(argument));
            failed++;
            CHECK_LT(++nth, MOST_CALLS);
        }
    }
    test_resources_free(&before);
    return failed;
}

static int make_channel(void *argument)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher;
    int err = cuframes_publisher_create(&config, &publisher);

    (void)argument;
    if (err)
        return err;
    publish(publisher, 1);
    return cuframes_publisher_destroy(publisher);
}

TEST(each_call_fails_while_a_channel_is_made, .timeout_s = 60)
{
    CHECK_GT(fail_each(make_channel, NULL), 12U);
}

/* The publisher is another process, so that the calls are the subscriber's alone. */
static int subscribe(void *argument)
{
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;
    int err;

    (void)argument;
    config.connect_timeout_ms = 2000;
    config.flags = CUFRAMES_SUBSCRIBER_POLL;
    if ((err = cuframes_subscriber_create(&config, &reader)) != 0)
        return err;
    err = cuframes_subscriber_next(reader, NULL, &frame, 2000);
    if (!err)
        cuframes_frame_release(frame);
    cuframes_subscriber_destroy(reader);
    return err;
}

TEST(each_call_fails_while_a_subscriber_attaches, .timeout_s = 60)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct test_peer peer;

    spawn_publisher(&peer, &config);
    test_say(&peer, 1);
    CHECK_HEAR(&peer, 0);
    CHECK_GT(fail_each(subscribe, NULL), 10U);
    test_join(&peer);
}

static int ask(void *argument)
{
    cuframes_channel_report_t *report;
    int err = cuframes_query(NULL, "cam", 2000, &report);

    (void)argument;
    if (!err)
        cuframes_channel_report_free(report);
    return err;
}

static int list(void *argument)
{
    cuframes_key_list_t *keys;
    int err = cuframes_list(NULL, &keys);

    (void)argument;
    if (!err)
        cuframes_key_list_free(keys);
    return err;
}

static int watch(void *argument)
{
    cuframes_watch_event_t event;
    cuframes_watch_t *created;
    int err = cuframes_watch_create(NULL, &created);

    (void)argument;
    if (err)
        return err;
    err = cuframes_watch_next(created, &event, 2000);
    cuframes_watch_destroy(created);
    return err;
}

TEST(each_call_fails_during_discovery, .timeout_s = 60)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct test_peer peer;

    spawn_publisher(&peer, &config);
    CHECK_GT(fail_each(ask, NULL), 3U);
    CHECK_GT(fail_each(list, NULL), 0U);
    CHECK_GT(fail_each(watch, NULL), 5U);
    test_join(&peer);
}

static void ignore_frame(const cuframes_frame_t *frame, void *user)
{
    (void)frame, (void)user;
}

static int subscribe_with_callback(void *argument)
{
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_async_subscriber_t *async;
    int err = cuframes_async_subscriber_create(&config, ignore_frame, NULL, &async);

    (void)argument;
    return err ? err : cuframes_async_subscriber_destroy(async);
}

TEST(each_call_fails_while_a_callback_is_registered, .timeout_s = 60)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct test_peer peer;

    spawn_publisher(&peer, &config);
    CHECK_GT(fail_each(subscribe_with_callback, NULL), 8U);
    test_join(&peer);
}

static int change_size(void *argument)
{
    static int32_t width = 64;
    cuframes_publisher_config_t config = small_config(NULL);

    config.width = 64 + ++width % 8;
    return cuframes_publisher_reconfigure(argument, &config);
}

TEST(each_call_fails_while_a_change_is_prepared, .timeout_s = 60)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");

    CHECK_GT(fail_each(change_size, publisher), 5U);
    publish(publisher, 3);
    cuframes_publisher_destroy(publisher);
}

/* ---- packets ---- */

/* A ring, descriptions, and growth: all that a publisher of packets allocates. */
static int make_packets(void *argument)
{
    const cuframes_publisher_config_t config = {.key = "cam",
                                                .flags = CUFRAMES_PUBLISHER_PACKETS_ONLY};
    const cuframes_packet_ring_options_t options = {
        .ring_slots = 4, .data_size = 4096, .keep_ms = 60000, .codec_id = 27};
    cuframes_publisher_t *publisher;
    int err = cuframes_publisher_create(&config, &publisher);

    (void)argument;
    if (err)
        return err;
    if ((err = cuframes_publisher_enable_packets(publisher, &options)) == CUFRAMES_OK &&
        (err = cuframes_publisher_set_codec_extradata(publisher, "extradata", 9)) == CUFRAMES_OK)
        for (int i = 0; !err && i < 10; i++)
            err = cuframes_publisher_publish_packet(publisher, "packet", 6, i, i,
                                                    CUFRAMES_PKT_FLAG_KEY);
    cuframes_publisher_destroy(publisher);
    return err;
}

TEST(each_call_fails_while_packets_are_published, .timeout_s = 60)
{
    CHECK_GT(fail_each(make_packets, NULL), 20U);
}

static void publish_packets(struct test_peer *test, void *argument)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);

    (void)argument;
    send_packet(publisher, VIDEO, 5000, CUFRAMES_PKT_FLAG_KEY);
    test_say(test, 0);
    test_hear_end(test);
    cuframes_publisher_destroy(publisher);
}

static int read_packets(void *argument)
{
    const cuframes_subscriber_config_t config = {.key = "cam",
                                                 .connect_timeout_ms = 2000,
                                                 .flags = CUFRAMES_SUBSCRIBER_PACKETS_ONLY |
                                                          CUFRAMES_SUBSCRIBER_POLL};
    cuframes_subscriber_t *reader;
    cuframes_packet_t *packet;
    int err = cuframes_subscriber_create(&config, &reader);

    (void)argument;
    if (err)
        return err;
    if ((err = cuframes_subscriber_enable_packets(reader)) == CUFRAMES_OK &&
        (err = cuframes_subscriber_next_packet(reader, &packet, 2000)) == CUFRAMES_OK) {
        check_packet(packet);
        cuframes_subscriber_release_packet(reader, packet);
    }
    cuframes_subscriber_destroy(reader);
    return err;
}

TEST(each_call_fails_while_packets_are_read, .timeout_s = 60)
{
    struct test_peer peer;

    test_spawn(&peer, publish_packets, NULL, NULL);
    CHECK_HEAR(&peer, 0);
    CHECK_GT(fail_each(read_packets, NULL), 15U);
    test_join(&peer);
}

/* ---- the publisher's side of an attach ---- */

/* Tries to attach whenever it is told to, and says the error as a positive number. */
static void attach_on_demand(struct test_peer *test, void *argument)
{
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    uint64_t word;

    (void)argument;
    config.connect_timeout_ms = 2000;
    config.flags = CUFRAMES_SUBSCRIBER_POLL;
    while (test_hear_or_end(test, &word)) {
        cuframes_subscriber_t *reader;
        int err = cuframes_subscriber_create(&config, &reader);

        if (!err)
            cuframes_subscriber_destroy(reader);
        else if (!*cuframes_last_error())
            FAIL("%s without a sentence", cuframes_strerror(err));
        test_say(test, (uint64_t)-err);
    }
}

static uint64_t attach_once(struct test_peer *peer)
{
    test_say(peer, 1);
    return test_hear(peer);
}

/* The publisher's calls while somebody attaches. An accept that fails may be tried again. */
static const enum test_fault attach_calls[] = {
    TEST_FAULT_ACCEPT4,   TEST_FAULT_EPOLL_CTL, TEST_FAULT_EVENTFD,   TEST_FAULT_MEMFD_CREATE,
    TEST_FAULT_FALLOCATE, TEST_FAULT_MMAP,      TEST_FAULT_ADD_SEALS, TEST_FAULT_CALLOC,
    TEST_FAULT_SENDMSG,   TEST_FAULT_RECVMSG,
};

TEST(each_call_of_the_publisher_fails_while_somebody_attaches, .timeout_s = 60)
{
    cuframes_publisher_t *publisher;
    struct test_resources before;
    struct test_peer peer;
    unsigned failed = 0;

    test_fault_install();
    publisher = make_small_publisher("cam");
    test_spawn(&peer, attach_on_demand, NULL, NULL);
    test_resources_take(&before);
    for (size_t i = 0; i < sizeof(attach_calls) / sizeof(attach_calls[0]); i++) {
        bool happened = true;

        for (unsigned nth = 1; happened; nth++) {
            test_fault_arm(attach_calls[i], nth, 0);
            attach_once(&peer);
            happened = test_fault_disarm();
            failed += happened;
            if (attach_once(&peer) != 0)
                FAIL("nobody can attach after call %u of %s failed", nth,
                     test_fault_name(attach_calls[i]));
            WAIT_FOR(publisher_stats(publisher).subscribers == 0, 4000);
            WAIT_FOR(test_count_descriptors("") <= before.descriptor_count, 4000);
            CHECK_LT(nth, MOST_CALLS);
        }
    }
    CHECK_GT(failed, sizeof(attach_calls) / sizeof(attach_calls[0]) - 2);
    CHECK_NO_LEAK(&before, "after the publisher's calls failed");
    test_resources_free(&before);
    test_join(&peer);
    cuframes_publisher_destroy(publisher);
}

static int switch_generation(cuframes_publisher_t *publisher, int64_t pts)
{
    int err = change_size(publisher);

    if (!err)
        publish(publisher, pts);
    return err;
}

TEST(each_call_fails_while_a_change_is_announced, .timeout_s = 60)
{
    static const enum test_fault calls[] = {TEST_FAULT_MEMFD_CREATE, TEST_FAULT_FALLOCATE,
                                            TEST_FAULT_MMAP,         TEST_FAULT_ADD_SEALS,
                                            TEST_FAULT_CALLOC,       TEST_FAULT_SENDMSG};
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_publisher_t *publisher;
    int64_t pts = 1;

    test_fault_install();
    publisher = make_small_publisher("cam");
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        for (unsigned nth = 1; nth < 6; nth++) {
            struct test_peer peer;

            publish(publisher, pts);
            spawn_reader(&peer, &config);
            CHECK_EQ(order(&peer, READER_TAKE), (uint64_t)pts++);
            test_fault_arm(calls[i], nth, 0);
            switch_generation(publisher, pts);
            test_fault_disarm();
            /* Whatever failed, the frame that it holds is what it was. */
            CHECK_EQ(order(&peer, READER_CHECK), 1U);
            test_kill(&peer);
            WAIT_FOR(publisher_stats(publisher).subscribers == 0, 2000);
            CHECK_OK(switch_generation(publisher, ++pts));
        }
    }
    CHECK_EQ(publisher_stats(publisher).slots_held, 0U);
    cuframes_publisher_destroy(publisher);
}
