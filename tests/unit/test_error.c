/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Error names and sentences, and the log callback.
 */
#include <errno.h>
#include <pthread.h>

#include "base/error.h"
#include "base/log.h"
#include "harness/harness.h"

static const int every_error[] = {
    CUFRAMES_OK,
    CUFRAMES_ERR_INVALID_ARG,
    CUFRAMES_ERR_OUT_OF_MEMORY,
    CUFRAMES_ERR_CUDA,
    CUFRAMES_ERR_IO,
    CUFRAMES_ERR_PROTOCOL,
    CUFRAMES_ERR_NOT_FOUND,
    CUFRAMES_ERR_TIMEOUT,
    CUFRAMES_ERR_ALREADY_EXISTS,
    CUFRAMES_ERR_DISCONNECTED,
    CUFRAMES_ERR_FORMAT,
    CUFRAMES_ERR_WOULD_BLOCK,
    CUFRAMES_ERR_TOO_MANY,
    CUFRAMES_ERR_EVICTED,
    CUFRAMES_ERR_PERMISSION,
    CUFRAMES_ERR_INTERRUPTED,
    CUFRAMES_ERR_PACKET_OVERSIZED,
    CUFRAMES_ERR_NO_PACKET_RING,
    CUFRAMES_ERR_NO_CODEC_PARAMS,
    CUFRAMES_ERR_PACKET_OVERRUN,
    CUFRAMES_ERR_INTERNAL,
};

#define ERROR_COUNT (sizeof(every_error) / sizeof(every_error[0]))

TEST(error_numbers_are_those_of_the_field)
{
    CHECK_EQ(CUFRAMES_OK, 0);
    CHECK_EQ(CUFRAMES_ERR_INVALID_ARG, -1);
    CHECK_EQ(CUFRAMES_ERR_ALREADY_EXISTS, -8);
    CHECK_EQ(CUFRAMES_ERR_TIMEOUT, -7);
    CHECK_EQ(CUFRAMES_ERR_DISCONNECTED, -9);
    CHECK_EQ(CUFRAMES_ERR_FORMAT, -10);
    CHECK_EQ(CUFRAMES_ERR_WOULD_BLOCK, -11);
    CHECK_EQ(CUFRAMES_ERR_TOO_MANY, -12);
    CHECK_EQ(CUFRAMES_ERR_PACKET_OVERSIZED, -20);
    CHECK_EQ(CUFRAMES_ERR_PACKET_OVERRUN, -23);
    CHECK_EQ(CUFRAMES_ERR_INTERNAL, -100);
}

TEST(every_error_has_a_name_of_its_own)
{
    for (size_t i = 0; i < ERROR_COUNT; i++) {
        const char *name = cuframes_strerror(every_error[i]);

        CHECK(name && *name);
        CHECK(strcmp(name, cuframes_strerror(-9999)) != 0);
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(name, cuframes_strerror(every_error[j])) != 0);
    }
}

TEST(strangers_have_a_name_too)
{
    CHECK_STR_HAS(cuframes_strerror(1), "unknown");
    CHECK_STR_HAS(cuframes_strerror(INT32_MIN), "unknown");
    CHECK_STR_HAS(cuframes_strerror(-13000), "unknown");
}

TEST(sentence_is_empty_before_the_first_error)
{
    CHECK_STR_EQ(cuframes_last_error(), "");
}

TEST(sentence_is_the_newest)
{
    CHECK_EQ(cf_fail(CUFRAMES_ERR_FORMAT, "first %d", 1), CUFRAMES_ERR_FORMAT);
    CHECK_EQ(cf_fail(CUFRAMES_ERR_IO, "second %s", "one"), CUFRAMES_ERR_IO);
    CHECK_STR_EQ(cuframes_last_error(), "second one");
}

TEST(long_sentence_is_cut)
{
    char text[4096];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    cf_fail(CUFRAMES_ERR_IO, "%s", text);
    CHECK_GT(strlen(cuframes_last_error()), 100U);
    CHECK_LT(strlen(cuframes_last_error()), sizeof(text));
    CHECK_EQ(cf_fail_errno(ENOENT, "%s", text), CUFRAMES_ERR_IO);
}

TEST(errno_decides_the_number)
{
    CHECK_EQ(cf_fail_errno(ENOMEM, "x"), CUFRAMES_ERR_OUT_OF_MEMORY);
    CHECK_EQ(cf_fail_errno(EACCES, "x"), CUFRAMES_ERR_PERMISSION);
    CHECK_EQ(cf_fail_errno(EPERM, "x"), CUFRAMES_ERR_PERMISSION);
    CHECK_EQ(cf_fail_errno(EIO, "opening %s", "it"), CUFRAMES_ERR_IO);
    CHECK_STR_HAS(cuframes_last_error(), "opening it: ");
    CHECK_EQ(cf_fail_errno(EMFILE, "x"), CUFRAMES_ERR_TOO_MANY);
    CHECK_STR_HAS(cuframes_last_error(), "ulimit -n");
}

static void *fail_elsewhere(void *argument)
{
    CHECK_STR_EQ(cuframes_last_error(), "");
    cf_fail(CUFRAMES_ERR_IO, "of the other thread");
    CHECK_STR_EQ(cuframes_last_error(), "of the other thread");
    return argument;
}

TEST(sentence_belongs_to_its_thread, .threads = true)
{
    pthread_t thread;

    cf_fail(CUFRAMES_ERR_IO, "of this thread");
    CHECK_EQ(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_STR_EQ(cuframes_last_error(), "of this thread");
}

struct heard {
    unsigned count;
    cuframes_log_level_t level;
    char text[1024];
};

static void hear_log(cuframes_log_level_t level, const char *message, void *user)
{
    struct heard *heard = user;

    heard->count++;
    heard->level = level;
    snprintf(heard->text, sizeof(heard->text), "%s", message);
}

TEST(log_goes_to_the_callback_up_to_its_level)
{
    struct heard heard = {0};

    cf_log(CUFRAMES_LOG_ERROR, "before there is a callback");
    cuframes_set_log_callback(hear_log, &heard, CUFRAMES_LOG_WARNING);
    cf_log(CUFRAMES_LOG_INFO, "not wanted");
    CHECK_EQ(heard.count, 0U);
    cf_log(CUFRAMES_LOG_WARNING, "wanted %d", 7);
    CHECK_EQ(heard.count, 1U);
    CHECK_EQ(heard.level, CUFRAMES_LOG_WARNING);
    CHECK_STR_EQ(heard.text, "wanted 7");
    cuframes_set_log_callback(NULL, NULL, CUFRAMES_LOG_DEBUG);
    cf_log(CUFRAMES_LOG_ERROR, "after");
    CHECK_EQ(heard.count, 1U);
}

TEST(errors_are_logged_at_debug_level_only)
{
    struct heard heard = {0};

    cuframes_set_log_callback(hear_log, &heard, CUFRAMES_LOG_INFO);
    cf_fail(CUFRAMES_ERR_IO, "quiet");
    CHECK_EQ(heard.count, 0U);
    cuframes_set_log_callback(hear_log, &heard, CUFRAMES_LOG_DEBUG);
    cf_fail(CUFRAMES_ERR_IO, "loud");
    CHECK_EQ(heard.count, 1U);
    CHECK_STR_HAS(heard.text, "loud");
}

#define TOGGLES 2000

static void ignore_log(cuframes_log_level_t level, const char *message, void *user)
{
    (void)level, (void)message, (void)user;
}

static void *log_much(void *argument)
{
    for (int i = 0; i < TOGGLES; i++)
        cf_log(CUFRAMES_LOG_ERROR, "%d", i);
    return argument;
}

TEST(callback_changes_while_others_log, .threads = true)
{
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, log_much, NULL), 0);
    for (int i = 0; i < TOGGLES; i++)
        cuframes_set_log_callback(i % 2 ? ignore_log : NULL, NULL, CUFRAMES_LOG_DEBUG);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
}
