/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frames: the description, the memory, what the ring says, and generations. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plots.h"

#define CONTROL_SIZE cf_page_round(cf_ring_size(SLOTS))
#define FRAMES_SIZE  (SLOTS * SLOT_STRIDE)
#define MAKER_SEALS  (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

/* ---- memory ---- */

static void control_unsealed(struct visit *visit)
{
    replace_fd(visit, CF_FD_CONTROL, make_memory(0, CONTROL_SIZE, 0));
}

static void frames_unsealed(struct visit *visit)
{
    replace_fd(visit, CF_FD_FRAMES, make_memory(0, FRAMES_SIZE, 0));
}

static void frames_that_grow(struct visit *visit)
{
    replace_fd(visit, CF_FD_FRAMES,
               make_memory(0, FRAMES_SIZE, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE));
}

static void frames_writable(struct visit *visit)
{
    replace_fd(visit, CF_FD_FRAMES, make_memory(0, FRAMES_SIZE, F_SEAL_SHRINK | F_SEAL_GROW));
}

static void holds_unsealed(struct visit *visit)
{
    replace_fd(visit, CF_FD_HOLDS, make_memory(0, 4096, 0));
}

static void holds_that_cannot_be_written(struct visit *visit)
{
    replace_fd(visit, CF_FD_HOLDS, make_memory(0, 4096, MAKER_SEALS));
}

static void control_small(struct visit *visit)
{
    replace_fd(visit, CF_FD_CONTROL, make_memory(0, 4096, MAKER_SEALS));
}

static void frames_small(struct visit *visit)
{
    replace_fd(visit, CF_FD_FRAMES, make_memory(0, FRAMES_SIZE - 4096, MAKER_SEALS));
}

static void frames_empty(struct visit *visit)
{
    replace_fd(visit, CF_FD_FRAMES, make_memory(0, 0, MAKER_SEALS));
}

static void holds_empty(struct visit *visit)
{
    replace_fd(visit, CF_FD_HOLDS, make_memory(0, 0, F_SEAL_SHRINK | F_SEAL_GROW));
}

/* Memory that is right in all but the seal against shrinking, and is cut when it has been taken. */
static int cut_later = -1;

static void frames_that_will_be_cut(struct visit *visit)
{
    int fd = make_memory(0, FRAMES_SIZE, F_SEAL_GROW | F_SEAL_FUTURE_WRITE);

    cut_later = dup(fd);
    replace_fd(visit, CF_FD_FRAMES, fd);
    send_bytes(visit);
    if (ftruncate(cut_later, 0) != 0)
        give_up("ftruncate");
    visit->silent = true;
}

static void control_that_will_be_cut(struct visit *visit)
{
    int fd = make_memory(0, CONTROL_SIZE, F_SEAL_GROW | F_SEAL_FUTURE_WRITE);

    cut_later = dup(fd);
    replace_fd(visit, CF_FD_CONTROL, fd);
    send_bytes(visit);
    if (ftruncate(cut_later, 0) != 0)
        give_up("ftruncate");
    visit->silent = true;
}

/* Huge pages that the machine need not have, or that a reader's group may not use: SIGBUS at the
 * first look. */
static void frames_of_huge_pages(struct visit *visit)
{
    int fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

    if (fd < 0) {
        frames_unsealed(visit);
        return;
    }
    if (ftruncate(fd, 2 << 20) != 0 || fcntl(fd, F_ADD_SEALS, MAKER_SEALS) != 0)
        give_up("huge pages");
    replace_fd(visit, CF_FD_FRAMES, fd);
}

static void frames_of_a_file(struct visit *visit)
{
    char name[] = "/tmp/hostile-XXXXXX";
    int fd = mkostemp(name, O_CLOEXEC);

    unlink(name);
    if (fd < 0 || ftruncate(fd, FRAMES_SIZE) != 0)
        give_up("file");
    replace_fd(visit, CF_FD_FRAMES, fd);
}

static void frames_of_a_device(struct visit *visit)
{
    replace_fd(visit, CF_FD_FRAMES, open("/dev/zero", O_RDWR | O_CLOEXEC));
}

static void frames_of_a_directory(struct visit *visit)
{
    replace_fd(visit, CF_FD_FRAMES, open("/", O_RDONLY | O_CLOEXEC));
}

static void frames_of_a_path(struct visit *visit)
{
    replace_fd(visit, CF_FD_FRAMES, open("/dev/zero", O_PATH | O_CLOEXEC));
}

static void control_of_a_pipe(struct visit *visit)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        give_up("pipe");
    replace_fd(visit, CF_FD_CONTROL, ends[0]);
    close(ends[1]);
}

static void control_of_an_epoll(struct visit *visit)
{
    replace_fd(visit, CF_FD_CONTROL, epoll_create1(EPOLL_CLOEXEC));
}

static void holds_of_the_socket(struct visit *visit)
{
    replace_fd(visit, CF_FD_HOLDS, dup(visit->socket));
}

static void one_descriptor(struct visit *visit)
{
    while (visit->fd_count > 1)
        close(visit->fds[--visit->fd_count]);
}

static void no_descriptor(struct visit *visit)
{
    one_descriptor(visit);
    close(visit->fds[--visit->fd_count]);
}

static void all_the_same(struct visit *visit)
{
    replace_fd(visit, CF_FD_CONTROL, dup(visit->fds[CF_FD_FRAMES]));
    replace_fd(visit, CF_FD_HOLDS, dup(visit->fds[CF_FD_FRAMES]));
}

/* A wake socket that is none. */
static void wake_by(struct visit *visit, int fd)
{
    visit->bytes[316] = 1;
    replace_fd(visit, CF_FD_WAKE_SOCKET, fd);
}

static void woken_by_a_device(struct visit *visit)
{
    wake_by(visit, open("/dev/zero", O_RDWR | O_CLOEXEC));
}

static void woken_by_a_directory(struct visit *visit)
{
    wake_by(visit, open("/", O_RDONLY | O_CLOEXEC));
}

/* Always readable, and it blocks whoever reads to the end. */
static void woken_by_a_pipe(struct visit *visit)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0 || write(ends[1], "x", 1) != 1)
        give_up("pipe");
    wake_by(visit, ends[0]);
}

/* ---- the ring ---- */

static struct cf_ring_header *header(struct visit *visit)
{
    return visit->control.addr;
}

static void sequence_runs_backwards(struct visit *visit)
{
    visit->writer.next_seq -= 2;
}

static void sequence_leaps(struct visit *visit)
{
    visit->writer.next_seq += UINT64_C(1) << 40;
}

static void sequence_comes_to_its_end(struct visit *visit)
{
    visit->writer.next_seq = CF_SEQ_LIMIT - 3;
}

static void newest_flickers(struct visit *visit)
{
    for (int i = 0; i < 100000; i++)
        header(visit)->newest = cf_ref_make(random_word(), random_word() % 64);
}

static void slots_flicker(struct visit *visit)
{
    for (int i = 0; i < 100000; i++)
        header(visit)->slots[i % SLOTS].seq = i % 3 ? CF_SEQ_INVALID : random_word();
}

static void index_lies(struct visit *visit)
{
    for (int i = 0; i < CF_INDEX_SIZE; i++)
        header(visit)->index[i] = cf_ref_make((uint64_t)i, random_word() % 64);
    header(visit)->newest = cf_ref_make(visit->writer.next_seq + 100, 2);
}

/* All that readers look at changes all the time. */
static void scribble_on_the_ring(struct visit *visit)
{
    volatile uint32_t *words = visit->control.addr;

    for (int i = 0; i < 100000; i++)
        words[16 + random_word() % (visit->control.size / 4 - 16)] = random_word();
}

static void scribble_on_descriptions(struct visit *visit)
{
    for (int i = 0; i < 20000; i++) {
        struct cf_ring_slot *slot = &header(visit)->slots[random_word() % SLOTS];
        volatile uint32_t *words = (volatile uint32_t *)slot;

        words[2 + random_word() % 30] = random_word();
    }
}

/* Wakes whoever sleeps, and has nothing. */
static void wake_for_nothing(struct visit *visit)
{
    static const struct cf_ring_peers nobody;
    enum cf_ring_state state = CF_RING_RUNNING;

    visit->has_frames = false;
    for (int i = 0; i < 1000; i++)
        cf_writer_end(&visit->writer, &nobody, state);
}

/* ---- generations ---- */

static void same_again(struct visit *visit)
{
    send_generation(visit);
}

static void another_size(struct visit *visit)
{
    visit->width = 2 + (int32_t)(random_word() % 40) * 2;
    visit->height = 2 + (int32_t)(random_word() % 20) * 2;
    send_generation(visit);
}

static void another_format(struct visit *visit)
{
    static const cuframes_format_t formats[] = {CUFRAMES_FORMAT_GRAYSCALE, CUFRAMES_FORMAT_NV12,
                                                CUFRAMES_FORMAT_YUV420P, CUFRAMES_FORMAT_GRAY16};

    visit->format = formats[random_word() % 4];
    visit->width = 1 + (int32_t)(random_word() % 47);
    visit->height = 1 + (int32_t)(random_word() % 37);
    send_generation(visit);
}

static void many_at_once(struct visit *visit)
{
    for (int i = 0; i < 20; i++)
        send_generation(visit);
}

static void generation_without_an_end_of_the_last(struct visit *visit)
{
    visit->has_frames = false;
    send_generation(visit);
}

static void bad_generation(struct visit *visit)
{
    static const struct plot then = {.where = CF_MSG_GENERATION, .act = frames_unsealed};

    visit->plot = &then;
    send_generation(visit);
}

static void bad_description(struct visit *visit)
{
    static const struct plot then = {
        .where = CF_MSG_GENERATION, .offset = 168, .width = 4, .value = 1};

    visit->plot = &then;
    send_generation(visit);
}

static void superseded_by_nothing(struct visit *visit)
{
    static const struct cf_ring_peers nobody;

    cf_writer_end(&visit->writer, &nobody, CF_RING_SUPERSEDED);
    visit->silent = true;
}

static void closed_without_hanging_up(struct visit *visit)
{
    static const struct cf_ring_peers nobody;

    cf_writer_end(&visit->writer, &nobody, CF_RING_CLOSED);
    visit->silent = true;
}

/* Then it goes on as if nothing had happened. */
static void revoke_its_page(struct visit *visit)
{
    ((struct cf_hold_page *)visit->holds.addr)->revoked = random_word();
}

#define SLOT(n, field)                                                                             \
    (uint32_t)(offsetof(struct cf_ring_header, slots) + (n) * sizeof(struct cf_ring_slot) +        \
               offsetof(struct cf_ring_slot, field))
#define HEADER(field) (uint32_t) offsetof(struct cf_ring_header, field)
#define ATTACHED      CF_MSG_ATTACHED

const struct plot frame_plots[] = {
    FIELD("format", FRAMES, ATTACHED, 80, 4, 200),
    FIELD("another-format", FRAMES, ATTACHED, 80, 4, CUFRAMES_FORMAT_RGBA),
    FIELD("width-0", FRAMES, ATTACHED, 84, 4, 0),
    FIELD("width-negative", FRAMES, ATTACHED, 84, 4, -64),
    FIELD("width-huge", FRAMES, ATTACHED, 84, 4, INT32_MAX),
    FIELD("width-beyond-the-coded", FRAMES, ATTACHED, 84, 4, 66),
    FIELD("height-0", FRAMES, ATTACHED, 88, 4, 0),
    FIELD("height-huge", FRAMES, ATTACHED, 88, 4, 32769),
    FIELD("memory-of-no-kind", FRAMES, ATTACHED, 92, 4, 7),
    FIELD("memory-of-a-gpu", FRAMES, ATTACHED, 92, 4, CUFRAMES_MEMORY_CUDA),
    FIELD("policy", FRAMES, ATTACHED, 96, 4, 9),
    FIELD("slots-0", FRAMES, ATTACHED, 100, 4, 0),
    FIELD("slots-negative", FRAMES, ATTACHED, 100, 4, -1),
    FIELD("slots-more-than-there-are", FRAMES, ATTACHED, 100, 4, 5),
    FIELD("slots-65", FRAMES, ATTACHED, 100, 4, 65),
    FIELD("generation-of-another-ring", FRAMES, ATTACHED, 104, 4, 77),
    FIELD("rate-negative", FRAMES, ATTACHED, 108, 4, -1),
    FIELD("rate-without-seconds", FRAMES, ATTACHED, 112, 4, 0),
    ODD_FIELD("rate-huge", FRAMES, ATTACHED, 108, 4, INT32_MAX),
    ODD_FIELD("rate-tiny", FRAMES, ATTACHED, 112, 4, INT32_MAX),
    ODD_FIELD("pixels-of-a-strange-shape", FRAMES, ATTACHED, 116, 8, UINT64_C(0x100007fffffff)),
    FIELD("colour-range", FRAMES, ATTACHED, 127, 1, 9),
    ODD_FIELD("colours-of-no-standard", FRAMES, ATTACHED, 124, 3, 0xfefefe),
    FIELD("holds-none", FRAMES, ATTACHED, 132, 4, 0),
    FIELD("holds-all", FRAMES, ATTACHED, 132, 4, 64),
    FIELD("coded-width-small", FRAMES, ATTACHED, 136, 4, 32),
    FIELD("coded-width-huge", FRAMES, ATTACHED, 136, 4, 33793),
    FIELD("coded-height-huge", FRAMES, ATTACHED, 140, 4, 33792),
    FIELD("planes-none", FRAMES, ATTACHED, 144, 4, 0),
    FIELD("planes-five", FRAMES, ATTACHED, 144, 4, 5),
    FIELD("frame-size-small", FRAMES, ATTACHED, 152, 8, 100),
    FIELD("frame-size-huge", FRAMES, ATTACHED, 152, 8, UINT64_MAX),
    FIELD("plane-offset-beyond", FRAMES, ATTACHED, 176, 8, 1 << 20),
    FIELD("plane-offset-wraps", FRAMES, ATTACHED, 176, 8, UINT64_MAX - 63),
    FIELD("pitch-0", FRAMES, ATTACHED, 168, 4, 0),
    FIELD("pitch-small", FRAMES, ATTACHED, 168, 4, 63),
    FIELD("pitch-huge", FRAMES, ATTACHED, 168, 4, UINT32_MAX),
    FIELD("rows-few", FRAMES, ATTACHED, 172, 4, 47),
    FIELD("rows-huge", FRAMES, ATTACHED, 188, 4, UINT32_MAX),
    FIELD("a-plane-too-many", FRAMES, ATTACHED, 192, 8, 64),
    FIELD("notes", FRAMES, ATTACHED, 240, 4, 0xffff0000),
    FIELD("notes-no-frames", FRAMES, ATTACHED, 240, 4, 6),
    FIELD("streams-nine", FRAMES, ATTACHED, 244, 4, 9),
    FIELD("name-none", FRAMES, ATTACHED, 248, 8, 0),
    FIELD("name-escape", FRAMES, ATTACHED, 248, 6, UINT64_C(0x4a325b1b6464)),
    FIELD("granted-none", FRAMES, ATTACHED, 312, 4, 0),
    FIELD("granted-more-than-the-channel", FRAMES, ATTACHED, 312, 4, 3),
    FIELD("flag-wake-socket", FRAMES, ATTACHED, 316, 4, 1),
    FIELD("flag-packets-only", FRAMES, ATTACHED, 316, 4, 2),
    FIELD("flag-unknown", FRAMES, ATTACHED, 316, 4, 0x80),
    FIELD("control-size-0", FRAMES, ATTACHED, 320, 8, 0),
    FIELD("control-size-small", FRAMES, ATTACHED, 320, 8, 4096),
    FIELD("control-size-huge", FRAMES, ATTACHED, 320, 8, UINT64_MAX),
    FIELD("frames-size-0", FRAMES, ATTACHED, 328, 8, 0),
    FIELD("frames-size-more-than-there-is", FRAMES, ATTACHED, 328, 8, FRAMES_SIZE + 4096),
    FIELD("frames-size-huge", FRAMES, ATTACHED, 328, 8, UINT64_C(1) << 46),
    FIELD("stride-0", FRAMES, ATTACHED, 336, 8, 0),
    FIELD("stride-small", FRAMES, ATTACHED, 336, 8, 64),
    FIELD("stride-beyond", FRAMES, ATTACHED, 336, 8, FRAMES_SIZE),
    FIELD("stride-wraps", FRAMES, ATTACHED, 336, 8, UINT64_C(0x5555555555555560)),
    FIELD("stride-uneven", FRAMES, ATTACHED, 336, 8, SLOT_STRIDE - 1),
    FIELD("first-seq-huge", FRAMES, ATTACHED, 344, 8, UINT64_MAX),
    FIELD("slot-offset-beyond", FRAMES, ATTACHED, 352, 8, FRAMES_SIZE),
    FIELD("slot-offset-wraps", FRAMES, ATTACHED, 352, 8, UINT64_MAX - 15),
    FIELD("memory-count-0", FRAMES, ATTACHED, 360, 4, 0),
    FIELD("memory-count-64", FRAMES, ATTACHED, 360, 4, 64),

    ACT("control-unsealed", FRAMES, ATTACHED, control_unsealed),
    ACT("frames-unsealed", FRAMES, ATTACHED, frames_unsealed),
    ACT("frames-that-can-grow", FRAMES, ATTACHED, frames_that_grow),
    ACT("frames-that-can-be-written", FRAMES, ATTACHED, frames_writable),
    ACT("holds-unsealed", FRAMES, ATTACHED, holds_unsealed),
    ACT("holds-not-writable", FRAMES, ATTACHED, holds_that_cannot_be_written),
    ACT("control-small", FRAMES, ATTACHED, control_small),
    ACT("frames-small", FRAMES, ATTACHED, frames_small),
    ACT("frames-empty", FRAMES, ATTACHED, frames_empty),
    ACT("holds-empty", FRAMES, ATTACHED, holds_empty),
    ACT("frames-truncated-later", FRAMES, ATTACHED, frames_that_will_be_cut),
    ACT("control-truncated-later", FRAMES, ATTACHED, control_that_will_be_cut),
    ACT("frames-of-huge-pages", FRAMES, ATTACHED, frames_of_huge_pages),
    ACT("frames-of-a-file", FRAMES, ATTACHED, frames_of_a_file),
    ACT("frames-of-a-device", FRAMES, ATTACHED, frames_of_a_device),
    ACT("frames-of-a-directory", FRAMES, ATTACHED, frames_of_a_directory),
    ACT("frames-of-a-path", FRAMES, ATTACHED, frames_of_a_path),
    ACT("control-of-a-pipe", FRAMES, ATTACHED, control_of_a_pipe),
    ACT("control-of-an-epoll", FRAMES, ATTACHED, control_of_an_epoll),
    ACT("holds-of-the-socket", FRAMES, ATTACHED, holds_of_the_socket),
    ODD_ACT("woken-by-a-device", FRAMES, ATTACHED, woken_by_a_device),
    ODD_ACT("woken-by-a-directory", FRAMES, ATTACHED, woken_by_a_directory),
    ODD_ACT("woken-by-a-pipe", FRAMES, ATTACHED, woken_by_a_pipe),
    ACT("one-descriptor", FRAMES, ATTACHED, one_descriptor),
    ACT("no-descriptor", FRAMES, ATTACHED, no_descriptor),
    ACT("all-descriptors-the-same", FRAMES, ATTACHED, all_the_same),

    FIELD("ring-magic", FRAMES, IN_CONTROL, HEADER(magic), 8, 0),
    FIELD("ring-slots", FRAMES, IN_CONTROL, HEADER(slot_count), 4, 64),
    FIELD("ring-generation", FRAMES, IN_CONTROL, HEADER(generation), 4, 3),
    ODD_FIELD("ring-first-seq", FRAMES, IN_CONTROL, HEADER(first_seq), 8, UINT64_MAX),
    ODD_FIELD("state-unknown", FRAMES, IN_CONTROL_LATER, HEADER(state), 4, 77),
    ODD_FIELD("publisher-waits", FRAMES, IN_CONTROL, HEADER(publisher_waits), 4, 1),
    FIELD("user-data-without-end", FRAMES, IN_CONTROL, SLOT(0, user_size), 4, UINT32_MAX),
    FIELD("user-data-too-long", FRAMES, IN_CONTROL, SLOT(0, user_size), 4, 1025),
    FIELD("crop-outside", FRAMES, IN_CONTROL, SLOT(0, crop), 4, INT32_MAX),
    FIELD("crop-negative", FRAMES, IN_CONTROL, SLOT(0, crop), 8, UINT64_MAX),
    FIELD("crop-of-nothing", FRAMES, IN_CONTROL, SLOT(0, crop) + 8, 8, 0),
    ODD_FIELD("crop-odd", FRAMES, IN_CONTROL, SLOT(0, crop), 8, UINT64_C(0x100000001)),
    FIELD("capture-source", FRAMES, IN_CONTROL, SLOT(0, capture_source), 4, 1000),
    FIELD("frame-colour-range", FRAMES, IN_CONTROL, SLOT(0, color) + 3, 1, 200),
    ODD_FIELD("frame-flags", FRAMES, IN_CONTROL, SLOT(0, flags), 4, UINT32_MAX),
    ODD_FIELD("time-first", FRAMES, IN_CONTROL, SLOT(0, pts_ns), 8, INT64_MIN + 1),
    ODD_FIELD("time-last", FRAMES, IN_CONTROL, SLOT(0, pts_ns), 8, INT64_MAX),
    ODD_FIELD("published-in-the-future", FRAMES, IN_CONTROL, SLOT(0, published_ns), 8, INT64_MAX),
    ODD_FIELD("published-before-all", FRAMES, IN_CONTROL, SLOT(0, published_ns), 8, INT64_MIN),
    ODD_ACT("sequence-backwards", FRAMES, IN_CONTROL_LATER, sequence_runs_backwards),
    ODD_ACT("sequence-leaps", FRAMES, IN_CONTROL_LATER, sequence_leaps),
    ODD_ACT("sequence-at-its-end", FRAMES, IN_CONTROL, sequence_comes_to_its_end),
    ODD_ACT("newest-flickers", FRAMES, IN_CONTROL_LATER, newest_flickers),
    ODD_ACT("slots-flicker", FRAMES, IN_CONTROL_LATER, slots_flicker),
    ODD_ACT("index-lies", FRAMES, IN_CONTROL_LATER, index_lies),
    ODD_ACT("scribbles-on-the-ring", FRAMES, IN_CONTROL_LATER, scribble_on_the_ring),
    ODD_ACT("scribbles-on-descriptions", FRAMES, IN_CONTROL_LATER, scribble_on_descriptions),
    ODD_ACT("wakes-for-nothing", FRAMES, IN_CONTROL_LATER, wake_for_nothing),
    ODD_ACT("revokes", FRAMES, IN_CONTROL_LATER, revoke_its_page),
    ODD_ACT("superseded-by-nothing", FRAMES, IN_CONTROL_LATER, superseded_by_nothing),
    ODD_ACT("closed-without-hanging-up", FRAMES, IN_CONTROL_LATER, closed_without_hanging_up),

    ODD_ACT("generations-without-end", FRAMES, IN_CONTROL_LATER, same_again),
    ODD_ACT("generations-of-other-sizes", FRAMES, IN_CONTROL_LATER, another_size),
    ODD_ACT("generations-of-other-formats", FRAMES, IN_CONTROL_LATER, another_format),
    ODD_ACT("generations-at-once", FRAMES, IN_CONTROL_LATER, many_at_once),
    ACT("generation-unsealed", FRAMES, IN_CONTROL_LATER, bad_generation),
    ACT("generation-pitch", FRAMES, IN_CONTROL_LATER, bad_description),
    ODD_ACT("generation-before-the-end", FRAMES, IN_CONTROL_LATER,
            generation_without_an_end_of_the_last),
    NO_MORE_PLOTS,
};
