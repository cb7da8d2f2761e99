/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes ingest unixfd: against the sink that it copies from. The first byte says what the input
 * is: memories of which a picture is put together, or what a sink says and does, message by message.
 *
 * What is copied stays inside its room and is what the files hold, or it is refused; a sink that lies
 * ends its connection and leaves nothing. Streams of bytes that are no messages are fuzz_unixfd's.
 * COMMAND_SOURCE is tools/unixfd_ingest.c, as for command_part.c.
 */
#include COMMAND_SOURCE

#include <stdlib.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "script.h"

enum { FILES = 4, FILE_UNIT = 512, MOST_STEPS = 16, WIDTH = 64, HEIGHT = 18 };
/* Larger pictures than this are not made here: they take the machine's memory, 8 times over. */
enum { MOST_PICTURE = 1 << 20 };
enum step { STEP_CAPS, STEP_BUFFER, STEP_RELEASE, STEP_END, STEP_COUNT };

/* ---- what the tool says is for people ---- */

void report(const char *format, ...)
{
    (void)format;
}

int report_failed(const char *format, ...)
{
    (void)format;
    return TOOL_FAILED;
}

int report_usage(const char *format, ...)
{
    (void)format;
    return TOOL_USAGE;
}

int report_library(int error)
{
    FUZZ_REQUIRE(error != CUFRAMES_OK);
    return TOOL_FAILED;
}

void report_set_name(const char *name)
{
    (void)name;
}

const char *report_name(void)
{
    return "cuframes ingest";
}

void report_more_log(void)
{
}

/* ---- memory that a sink sends: the i-th file has i * FILE_UNIT bytes ---- */

static uint8_t byte_of(size_t file, size_t at)
{
    return (uint8_t)(at * 7 + at / 251 + file * 31);
}

static int make_file(size_t file)
{
    uint8_t bytes[FILES * FILE_UNIT];
    int fd = memfd_create("sink", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    for (size_t i = 0; i < file * FILE_UNIT; i++)
        bytes[i] = byte_of(file, i);
    FUZZ_REQUIRE(fd >= 0 && write(fd, bytes, file * FILE_UNIT) == (ssize_t)(file * FILE_UNIT));
    return fd;
}

static int sink_files[FILES];

static void make_files(void)
{
    for (size_t i = 0; sink_files[0] == 0 && i < FILES; i++)
        sink_files[FILES - 1 - i] = make_file(FILES - 1 - i);
}

/* ---- copying ---- */

static uint64_t take_number(struct script *script)
{
    const uint8_t kind = take_byte(script);

    return kind & 128 ? UINT64_MAX - (kind & 63) * FILE_UNIT
                      : (uint64_t)(kind & 7) * take_byte(script);
}

/* Whether the picture is in the files, and, if it was copied, whether it is that. */
static bool is_there(const struct unixfd_buffer *buffer, const size_t *files, const uint8_t *copy,
                     size_t size)
{
    size_t at = 0;

    for (uint32_t i = 0; i < buffer->memory_count; i++) {
        const struct unixfd_memory *memory = &buffer->memories[i];

        for (uint64_t j = 0; j < memory->size && at < size; j++, at++) {
            if (memory->offset + j < j || memory->offset + j >= files[i] * FILE_UNIT)
                return false;
            if (copy)
                FUZZ_REQUIRE(copy[at] == byte_of(files[i], memory->offset + j));
        }
    }
    return at == size;
}

static void fuzz_copying(struct script *script)
{
    const size_t size = take_word(script) % (FILES * FILE_UNIT);
    struct unixfd_buffer buffer = {.memory_count = take_byte(script) % (UNIXFD_MAX_MEMORIES + 1)};
    struct ingest ingest = {.intake.fds.count = (int)buffer.memory_count};
    size_t files[UNIXFD_MAX_MEMORIES];
    uint8_t *copy = malloc(size ? size : 1); /* no more, for sanitizers to watch */
    bool copied;

    FUZZ_REQUIRE(copy);
    for (uint32_t i = 0; i < buffer.memory_count; i++) {
        files[i] = take_byte(script) % FILES;
        ingest.intake.fds.fd[i] = sink_files[files[i]];
        buffer.memories[i].size = take_number(script);
        buffer.memories[i].offset = take_number(script);
    }
    copied = read_memories(&ingest, &buffer, copy, size);
    FUZZ_REQUIRE(copied == is_there(&buffer, files, copied ? copy : NULL, size));
    free(copy);
}

/* ---- a sink ---- */

static const struct unixfd_picture pictures[] = {
    {.format = CUFRAMES_FORMAT_NV12, .width = WIDTH, .height = HEIGHT},
    {.format = CUFRAMES_FORMAT_GRAY16, .width = 16, .height = 16},
};

static void send_caps(struct script *script, int socket, const struct unixfd_picture *picture)
{
    struct unixfd_message message;

    unixfd_encode_caps(&message, picture);
    if (take_byte(script) & 1)
        message.bytes[message.size - 1] = 'x';
    send_raw(socket, message.bytes, message.size, NULL, 0);
}

static bool is_small(const struct unixfd_message *message, const struct unixfd_picture *picture)
{
    struct unixfd_buffer buffer;
    cuframes_layout_t layout;

    return !unixfd_decode_buffer(message->bytes + UNIXFD_HEADER_SIZE,
                                 message->size - UNIXFD_HEADER_SIZE, &buffer) ||
           !unixfd_buffer_layout(&buffer, picture, &layout) || layout.size <= MOST_PICTURE;
}

static void send_buffer(struct script *script, int socket, const struct unixfd_picture *picture)
{
    const uint8_t kind = take_byte(script);
    const struct unixfd_buffer buffer = {
        .id = kind,
        .type = kind & 64 ? UNIXFD_MEMORY_DMABUF : UNIXFD_MEMORY_DEFAULT,
        .flags = kind & 32 ? UNIXFD_FLAG_DISCONT | UNIXFD_FLAG_CORRUPTED : 0,
        .memory_count = kind & 3,
        .memories = {{.size = FILE_UNIT}, {.size = 2 * FILE_UNIT}, {.size = FILE_UNIT}},
        .has_capture = kind & 16,
    };
    struct unixfd_message message;
    int fds[FILES];

    for (int i = 0; i < FILES; i++) {
        const uint8_t file = take_byte(script);

        fds[i] = file & 128 ? stray_descriptor() : sink_files[file % FILES];
    }
    unixfd_encode_buffer(&message, &buffer);
    scribble(script, message.bytes + UNIXFD_HEADER_SIZE, message.size - UNIXFD_HEADER_SIZE);
    if (is_small(&message, picture))
        send_raw(socket, message.bytes, message.size, fds, (kind & 3) + (kind >> 7));
}

static void be_a_sink(struct script *script, int socket)
{
    const struct unixfd_picture *picture = &pictures[0];
    struct unixfd_message message;

    for (int i = 0; i < MOST_STEPS && script->at < script->end; i++) {
        const uint8_t kind = take_byte(script);

        switch (kind % STEP_COUNT) {
        case STEP_CAPS:
            picture = &pictures[kind >> 7];
            send_caps(script, socket, picture);
            break;
        case STEP_BUFFER:
            send_buffer(script, socket, picture);
            break;
        case STEP_RELEASE:
            unixfd_encode_release(&message, kind);
            send_raw(socket, message.bytes, message.size, NULL, 0);
            break;
        default:
            unixfd_encode_eos(&message);
            message.bytes[0] += kind >> 6;
            send_raw(socket, message.bytes, message.size, NULL, 0);
        }
    }
}

static void fuzz_connection(struct script *script)
{
    struct settings settings = defaults;
    struct ingest ingest = {.settings = &settings};
    int ends[2], rc;

    settings.config.key = "fuzz";
    settings.config.flags = CUFRAMES_PUBLISHER_NO_SOCKET;
    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    be_a_sink(script, ends[1]);
    /* It still takes what is given back, but says no more. */
    shutdown(ends[1], SHUT_WR);
    intake_open(&ingest.intake, ends[0]);
    rc = read_messages(&ingest);
    FUZZ_REQUIRE(rc == LOST || rc == TOOL_DONE || rc == TOOL_FAILED);
    FUZZ_REQUIRE(ingest.frames == 0 || ingest.publisher);
    intake_close(&ingest.intake);
    cuframes_publisher_destroy(ingest.publisher);
    close(ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, data + size};
    const uint8_t kind = take_byte(&script);
    int before;

    stray_descriptor();
    make_files();
    before = count_descriptors();
    if (kind & 1)
        fuzz_connection(&script);
    else
        fuzz_copying(&script);
    FUZZ_REQUIRE(count_descriptors() == before);
    return 0;
}

/* ---- honest inputs ---- */

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const struct {
        uint8_t size, bytes[40];
    } seeds[] = {
        /* 600 bytes of two memories, at 7 * 10 of the third file and at the second's begin. */
        {13, {0, 88, 2, 2, 3, 4, 100, 7, 10, 1, 4, 100, 0}},
        {8, {0, 0, 2, 1, 3, 4, 200, 0}},
        /* Grey pictures of one memory and of two. */
        {36, {1, 128, 0, 1, 1, 1, 1, 1, 1, 0, 129, 2, 1, 2, 1, 1, 0, 1, 49, 3, 3, 3, 3, 0, 3}},
        /* Memory that ends within the picture; a buffer of another kind; a release. */
        {20, {1, 128, 0, 1, 1, 0, 0, 0, 0, 0}},
        {20, {1, 128, 0, 1, 65, 1, 1, 1, 1, 0}},
        {20, {1, 0, 0, 1, 3, 3, 3, 3, 3, 0, 2, 3}},
    };

    if (index >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    memcpy(data, seeds[index].bytes, seeds[index].size);
    return seeds[index].size;
}
