/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is said, whatever was asked: bytes that are no message, silence, descriptors by the hundred,
 * and reports. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plots.h"

static void random_bytes(struct visit *visit)
{
    for (size_t i = 0; i < visit->size; i++)
        visit->bytes[i] = (uint8_t)random_word();
}

static void random_body(struct visit *visit)
{
    for (size_t i = CF_WIRE_HEADER_SIZE; i < visit->size; i++)
        visit->bytes[i] = (uint8_t)random_word();
}

static void half(struct visit *visit)
{
    visit->size /= 2;
}

static void one_byte(struct visit *visit)
{
    visit->size = 1;
}

static void no_byte(struct visit *visit)
{
    visit->size = 0;
}

static void longer_than_any(struct visit *visit)
{
    visit->size = sizeof(visit->bytes);
}

static void one_byte_more(struct visit *visit)
{
    visit->bytes[visit->size++] = 0;
}

static void text(struct visit *visit)
{
    static const char words[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

    memcpy(visit->bytes, words, sizeof(words));
    visit->size = sizeof(words);
}

static void hang_up(struct visit *visit)
{
    shutdown(visit->socket, SHUT_RDWR);
}

static void half_and_hang_up(struct visit *visit)
{
    visit->size /= 2;
    send_bytes(visit);
    shutdown(visit->socket, SHUT_RDWR);
}

static void say_nothing(struct visit *visit)
{
    visit->silent = true;
}

static void say_this_and_no_more(struct visit *visit)
{
    send_bytes(visit);
    visit->silent = true;
}

/* Before anything was asked. */
static void talk_first(struct visit *visit)
{
    memset(visit->bytes, 0, sizeof(visit->bytes));
    memcpy(visit->bytes, "CUF5\5\0\22\0\24\1", 10);
    visit->bytes[16] = 0xf4;
    memset(visit->bytes + 17, 0xff, 3);
    visit->size = 276;
    send_bytes(visit);
}

static void flood(struct visit *visit)
{
    memset(visit->bytes, 0, sizeof(visit->bytes));
    memcpy(visit->bytes, "CUF5\5\0\1\0\140", 9);
    visit->size = 96;
    for (int i = 0; i < 200; i++)
        send_bytes(visit);
}

static void add_descriptors(struct visit *visit, size_t count)
{
    while (visit->fd_count < count)
        visit->fds[visit->fd_count++] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void one_descriptor_more(struct visit *visit)
{
    add_descriptors(visit, visit->fd_count + 1);
}

static void descriptors_by_the_hundred(struct visit *visit)
{
    add_descriptors(visit, MOST_FDS);
}

static void descriptors_without_end(struct visit *visit)
{
    memset(visit->bytes, 0, sizeof(visit->bytes));
    memcpy(visit->bytes, "CUF5\5\0\1\0\140", 9);
    visit->size = 96;
    add_descriptors(visit, MOST_FDS);
    for (int i = 0; i < 20; i++)
        send_bytes(visit);
}

/* REPORT_SUBSCRIBERS that never end: full ones, then empty ones. */
static void reports_without_end(struct visit *visit)
{
    visit->bytes[20] = 0;
    for (int i = 0; i < 500; i++)
        send_bytes(visit);
    visit->silent = true;
}

static void empty_reports_without_end(struct visit *visit)
{
    memset(visit->bytes + CF_WIRE_HEADER_SIZE, 0, sizeof(visit->bytes) - CF_WIRE_HEADER_SIZE);
    visit->size = visit->bytes[8] = 24;
    visit->bytes[9] = 0;
    for (int i = 0; i < 500; i++)
        send_bytes(visit);
    visit->silent = true;
}

#define ATTACHES (FRAMES | PACKETS)

const struct plot message_plots[] = {
    ACT("random-bytes", ANYTHING, AT_MESSAGE, random_bytes),
    ACT("random-body", ANYTHING, AT_MESSAGE, random_body),
    ACT("half-a-message", ANYTHING, AT_MESSAGE, half),
    ACT("one-byte", ANYTHING, AT_MESSAGE, one_byte),
    ACT("empty-record", ANYTHING, AT_MESSAGE, no_byte),
    ACT("longer-than-any-message", ANYTHING, AT_MESSAGE, longer_than_any),
    ACT("one-byte-more", ANYTHING, AT_MESSAGE, one_byte_more),
    ACT("http", ANYTHING, AT_MESSAGE, text),
    FIELD("magic", ANYTHING, AT_MESSAGE, 0, 4, 0xffffffff),
    FIELD("version-4", ANYTHING, AT_MESSAGE, 4, 2, 4),
    FIELD("version-6", ANYTHING, AT_MESSAGE, 4, 2, 6),
    FIELD("type-unknown", ANYTHING, AT_MESSAGE, 6, 2, 99),
    FIELD("type-of-a-subscriber", ANYTHING, AT_MESSAGE, 6, 2, CF_MSG_ATTACH),
    FIELD("type-error", ANYTHING, AT_MESSAGE, 6, 2, CF_MSG_ERROR),
    FIELD("size-of-message-small", ANYTHING, AT_MESSAGE, 8, 4, 16),
    FIELD("size-of-message-huge", ANYTHING, AT_MESSAGE, 8, 4, 0xffffffff),
    FIELD("reserved", ANYTHING, AT_MESSAGE, 12, 4, 1),
    ACT("one-descriptor-more", ANYTHING, AT_MESSAGE, one_descriptor_more),
    ACT("descriptors-by-the-hundred", ANYTHING, AT_MESSAGE, descriptors_by_the_hundred),
    ACT("descriptors-without-end", ATTACHES, AT_TICK, descriptors_without_end),
    ACT("messages-without-end", ATTACHES, AT_TICK, flood),
    ACT("hang-up-at-once", ANYTHING, AT_ACCEPT, hang_up),
    ACT("hang-up-half-way", ANYTHING, AT_MESSAGE, half_and_hang_up),
    ODD_ACT("hang-up-later", ATTACHES, AT_TICK, hang_up),
    ACT("talks-first", ANYTHING, AT_ACCEPT, talk_first),
    /* Waits with a timeout of their own. */
    ODD_ACT("silence", ANYTHING, AT_ACCEPT, say_nothing),
    ODD_ACT("silence-later", ATTACHES, AT_TICK, say_nothing),
    ODD_ACT("silence-after-attached", FRAMES, CF_MSG_ATTACHED, say_this_and_no_more),
    ODD_ACT("silence-for-packets", PACKETS, CF_MSG_PACKETS, say_nothing),
    ODD_ACT("silence-for-streams", PACKETS, CF_MSG_STREAMS, say_nothing),
    ODD_ACT("silence-after-report", QUERIES, CF_MSG_REPORT_STREAMS, say_nothing),
    ODD_ACT("silence-about-subscribers", QUERIES, CF_MSG_REPORT_SUBSCRIBERS, say_nothing),
    FIELD("report-format", QUERIES, CF_MSG_REPORT, 80, 4, 200),
    FIELD("report-width", QUERIES, CF_MSG_REPORT, 84, 4, 0xffffffff),
    FIELD("report-slots", QUERIES, CF_MSG_REPORT, 100, 4, 65),
    FIELD("report-planes", QUERIES, CF_MSG_REPORT, 144, 4, 5),
    FIELD("report-key-unended", QUERIES, CF_MSG_REPORT, 19, 8, UINT64_MAX),
    FIELD("report-streams", QUERIES, CF_MSG_REPORT, 244, 4, 9),
    FIELD("report-subscribers", QUERIES, CF_MSG_REPORT, 304, 4, 257),
    FIELD("report-rate-nan", QUERIES, CF_MSG_REPORT, 328, 8, UINT64_C(0x7ff8000000000000)),
    FIELD("report-rate-negative", QUERIES, CF_MSG_REPORT, 328, 8, UINT64_C(0xbff0000000000000)),
    ODD_FIELD("report-rate-huge", QUERIES, CF_MSG_REPORT, 328, 8, UINT64_C(0x7fe0000000000000)),
    ODD_FIELD("report-published-huge", QUERIES, CF_MSG_REPORT, 248, 8, UINT64_MAX),
    ODD_FIELD("report-newest-in-the-future", QUERIES, CF_MSG_REPORT, 312, 8, INT64_MAX),
    ODD_FIELD("report-newest-long-ago", QUERIES, CF_MSG_REPORT, 312, 8, INT64_MIN + 1),
    ODD_FIELD("report-packet-time-huge", QUERIES, CF_MSG_REPORT, 368, 8, INT64_MAX),
    FIELD("report-stream-count", QUERIES, CF_MSG_REPORT_STREAMS, 16, 4, 9),
    FIELD("report-stream-type", QUERIES, CF_MSG_REPORT_STREAMS, 24, 4, 77),
    FIELD("report-stream-name-escape", QUERIES, CF_MSG_REPORT_STREAMS, 32, 4, 0x4a325b1b),
    FIELD("report-reader-count", QUERIES, CF_MSG_REPORT_SUBSCRIBERS, 16, 4, 17),
    FIELD("report-reader-name-escape", QUERIES, CF_MSG_REPORT_SUBSCRIBERS, 24, 4, 0x4a325b1b),
    FIELD("report-reader-held", QUERIES, CF_MSG_REPORT_SUBSCRIBERS, 92, 4, 65),
    FIELD("report-reader-pid", QUERIES, CF_MSG_REPORT_SUBSCRIBERS, 120, 8, UINT64_MAX),
    ODD_FIELD("report-reader-lag", QUERIES, CF_MSG_REPORT_SUBSCRIBERS, 112, 8, UINT64_MAX),
    ACT("reports-without-end", QUERIES, CF_MSG_REPORT_SUBSCRIBERS, reports_without_end),
    ACT("empty-reports-without-end", QUERIES, CF_MSG_REPORT_SUBSCRIBERS, empty_reports_without_end),
    NO_MORE_PLOTS,
};
