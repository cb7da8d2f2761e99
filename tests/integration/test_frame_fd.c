/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The descriptor of a frame's memory: it shows the frame, cannot be written, and is there for those
 * who asked for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support.h"

static cuframes_subscriber_t *reader_with(const char *key, uint32_t flags)
{
    cuframes_subscriber_config_t config = reader_config(key, CUFRAMES_MODE_STRICT_ORDER);

    config.flags = flags;
    return make_subscriber(&config);
}

TEST(the_descriptor_shows_the_frame)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher = make_publisher(&config);
    cuframes_subscriber_t *reader = reader_with("cam", CUFRAMES_SUBSCRIBER_FRAME_FD);

    for (int i = 0; i < 10; i++) {
        uint8_t there[64 * 48];
        cuframes_frame_t *frame;
        uint64_t offset;
        int fd;

        publish(publisher, i);
        frame = take_frame(reader);
        fd = cuframes_frame_fd(frame, &offset);
        CHECK_GE(fd, 0);
        CHECK_EQ(pread(fd, there, sizeof(there), (off_t)offset), (ssize_t)sizeof(there));
        CHECK_MEM_EQ(there, cuframes_frame_data(frame), sizeof(there));
        cuframes_frame_release(frame);
    }
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_OK(cuframes_publisher_destroy(publisher));
}

TEST(the_descriptor_cannot_be_written)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher = make_publisher(&config);
    cuframes_subscriber_t *reader = reader_with("cam", CUFRAMES_SUBSCRIBER_FRAME_FD);
    cuframes_frame_t *frame;
    uint64_t offset;
    int fd;

    publish(publisher, 1);
    frame = take_frame(reader);
    fd = cuframes_frame_fd(frame, &offset);
    CHECK_GE(fd, 0);
    CHECK_EQ(pwrite(fd, "x", 1, (off_t)offset), -1);
    CHECK_EQ(errno, EPERM);
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    CHECK_EQ(ftruncate(fd, 0), -1);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    cuframes_frame_release(frame);
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_OK(cuframes_publisher_destroy(publisher));
}

TEST(the_descriptor_follows_a_new_generation)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher = make_publisher(&config);
    cuframes_subscriber_t *reader = reader_with("cam", CUFRAMES_SUBSCRIBER_FRAME_FD);
    cuframes_frame_t *old, *new;
    uint64_t offset;
    int old_fd, new_fd;

    publish(publisher, 1);
    old = take_frame(reader);
    config.width = 32;
    CHECK_OK(cuframes_publisher_reconfigure(publisher, &config));
    publish(publisher, 1);
    new = take_frame(reader);
    old_fd = cuframes_frame_fd(old, &offset);
    new_fd = cuframes_frame_fd(new, &offset);
    CHECK_GE(old_fd, 0);
    CHECK_GE(new_fd, 0);
    CHECK(old_fd != new_fd);
    cuframes_frame_release(old);
    CHECK_EQ(fcntl(old_fd, F_GETFD), -1);
    cuframes_frame_release(new);
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_OK(cuframes_publisher_destroy(publisher));
}

TEST(who_did_not_ask_gets_none)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher = make_publisher(&config);
    cuframes_subscriber_t *reader = reader_with("cam", 0);
    cuframes_frame_t *frame;
    uint64_t offset = 7;

    publish(publisher, 1);
    frame = take_frame(reader);
    CHECK_EQ(cuframes_frame_fd(frame, &offset), CUFRAMES_ERR_INVALID_ARG);
    CHECK_EQ(offset, 7U);
    CHECK_EQ(cuframes_frame_fd(frame, NULL), CUFRAMES_ERR_INVALID_ARG);
    CHECK_EQ(cuframes_frame_fd(NULL, &offset), CUFRAMES_ERR_INVALID_ARG);
    cuframes_frame_release(frame);
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_OK(cuframes_publisher_destroy(publisher));
}
