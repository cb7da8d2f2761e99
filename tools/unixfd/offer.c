/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unixfd/offer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/report.h"
#include "unixfd/picture.h"
#include "unixfd/place.h"
#include "unixfd/socket.h"

#define INPUT_SIZE 4096 /* a message that this side does not know may be so long */

/* A frame that was sent, until the last client has released it. */
struct shared {
    unsigned refs;
    uint64_t id;
    cuframes_frame_t *frame; /* NULL for a copy */
    int copy;                /* descriptor; -1 = none */
};

/* One frame on its way to the clients. */
struct sending {
    struct unixfd_message message;
    struct shared *shared;
    int fd; /* of the memory; sent once for each of the buffer's memories */
    uint32_t fd_count;
};

struct client {
    int socket;
    uint64_t number;
    uint64_t caps; /* number of the caps that it has; 0 = none */
    int held_count;
    struct shared *held[OFFER_MAX_FRAMES];
    bool said_full;
    size_t input_size;
    uint8_t input[INPUT_SIZE];
};

struct offer {
    const struct offer_settings *settings;
    struct offer_stats stats;
    struct client *clients[OFFER_MAX_CLIENTS];
    int client_count;
    uint64_t next_id;
    struct unixfd_picture picture;
    uint64_t caps_number; /* 0 = none yet */
    struct unixfd_message caps;
    struct place place;
    bool discontinuity; /* the next frame follows something else */
    bool said_copy;
    bool said_no_copy; /* until one can be made again */
};

struct offer *offer_new(const struct offer_settings *settings)
{
    struct offer *offer = calloc(1, sizeof(*offer));

    if (!offer)
        return NULL;
    offer->settings = settings;
    offer->discontinuity = true;
    place_init(&offer->place);
    return offer;
}

/* ---- frames ---- */

static void shared_unref(struct shared *shared)
{
    if (--shared->refs > 0)
        return;
    cuframes_frame_release(shared->frame);
    if (shared->copy >= 0)
        close(shared->copy);
    free(shared);
}

static void copy_rows(const cuframes_frame_t *frame, const struct unixfd_plain *plain, uint8_t *to)
{
    for (uint32_t i = 0; i < plain->video.plane_count; i++) {
        cuframes_plane_t plane;
        uint8_t *at = to + plain->video.offset[i];

        cuframes_frame_plane(frame, (int32_t)i, &plane);
        for (uint32_t y = 0; y < plane.rows; y++)
            memcpy(at + (size_t)y * (size_t)plain->video.stride[i],
                   (const uint8_t *)plane.data + (size_t)y * plane.pitch, plane.row_bytes);
    }
}

/* The plain picture in memory of its own, which nobody can write. -1 with errno set. */
static int copy_of(const cuframes_frame_t *frame, const struct unixfd_plain *plain)
{
    int fd = memfd_create("cuframes-unixfd", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    uint8_t *map;

    if (fd < 0)
        return -1;
    /* Allocated now: a machine without memory says so here, not by a signal. */
    if ((errno = posix_fallocate(fd, 0, (off_t)plain->size)) != 0 ||
        (map = mmap(NULL, plain->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED) {
        close(fd);
        return -1;
    }
    copy_rows(frame, plain, map);
    munmap(map, plain->size);
    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    return fd;
}

static void say_copying(struct offer *offer, const char *why)
{
    if (!offer->said_copy)
        report("frames are copied: %s", why);
    offer->said_copy = true;
}

/* Consumes the frame. NULL: no copy can be made now, which was reported. */
static struct shared *share(struct offer *offer, cuframes_frame_t *frame,
                            const struct unixfd_plain *plain, bool copy)
{
    struct shared *shared = calloc(1, sizeof(*shared));

    if (shared)
        *shared = (struct shared){.refs = 1, .id = ++offer->next_id, .copy = -1};
    if (shared && !copy) {
        shared->frame = frame;
        return shared;
    }
    if (shared)
        shared->copy = copy_of(frame, plain);
    cuframes_frame_release(frame);
    if (!shared || shared->copy < 0) {
        if (!offer->said_no_copy)
            report("a copy could not be made: %s; the clients miss frames", strerror(errno));
        offer->said_no_copy = true;
        free(shared);
        return NULL;
    }
    offer->said_no_copy = false;
    offer->stats.copied++;
    return shared;
}

/* ---- clients ---- */

static void client_free(struct client *client)
{
    for (int i = 0; i < client->held_count; i++)
        shared_unref(client->held[i]);
    close(client->socket);
    free(client);
}

static void remove_client(struct offer *offer, int index)
{
    client_free(offer->clients[index]);
    offer->clients[index] = offer->clients[--offer->client_count];
}

void offer_free(struct offer *offer)
{
    if (!offer)
        return;
    while (offer->client_count > 0)
        remove_client(offer, 0);
    free(offer);
}

int offer_client_count(const struct offer *offer)
{
    return offer->client_count;
}

const struct offer_stats *offer_stats(const struct offer *offer)
{
    return &offer->stats;
}

void offer_add_client(struct offer *offer, int socket)
{
    struct client *client;

    if (offer->client_count >= offer->settings->max_clients ||
        !(client = calloc(1, sizeof(*client)))) {
        report("a client was turned away: %d are there (--max-clients)", offer->client_count);
        close(socket);
        return;
    }
    client->socket = socket;
    client->number = ++offer->stats.clients;
    offer->clients[offer->client_count++] = client;
    if (offer->caps_number > 0 && unixfd_send(socket, &offer->caps, -1, 0) == UNIXFD_SENT)
        client->caps = offer->caps_number;
}

int offer_poll(const struct offer *offer, struct pollfd *polls)
{
    for (int i = 0; i < offer->client_count; i++)
        polls[i] = (struct pollfd){.fd = offer->clients[i]->socket, .events = POLLIN};
    return offer->client_count;
}

static bool release(struct client *client, uint64_t id)
{
    for (int i = 0; i < client->held_count; i++) {
        if (client->held[i]->id == id) {
            shared_unref(client->held[i]);
            client->held[i] = client->held[--client->held_count];
            client->said_full = false;
            return true;
        }
    }
    return false;
}

/* One whole message. False: no client of this protocol sends it. */
static bool take_message(struct client *client, uint32_t command, const uint8_t *payload,
                         size_t size)
{
    uint64_t id;

    if (command == UNIXFD_RELEASE_BUFFER)
        return unixfd_decode_release(payload, size, &id) && release(client, id);
    /* The protocol may grow: what is not known is passed over, what a client never sends is not. */
    return command != UNIXFD_NEW_BUFFER && command != UNIXFD_CAPS && command != UNIXFD_EOS;
}

/* All whole messages of the input. */
static bool take_input(struct client *client)
{
    size_t at = 0;

    while (client->input_size - at >= UNIXFD_HEADER_SIZE) {
        uint32_t command, size;

        unixfd_decode_header(client->input + at, &command, &size);
        if (size > sizeof(client->input) - UNIXFD_HEADER_SIZE)
            return false;
        if (client->input_size - at < UNIXFD_HEADER_SIZE + size)
            break;
        if (!take_message(client, command, client->input + at + UNIXFD_HEADER_SIZE, size))
            return false;
        at += UNIXFD_HEADER_SIZE + size;
    }
    client->input_size -= at;
    memmove(client->input, client->input + at, client->input_size);
    return true;
}

enum served { SERVED, LEFT, MISBEHAVED };

/* Reads once: one who sends without end has its turn as everybody else. */
static enum served serve(struct client *client)
{
    ssize_t got = unixfd_receive(client->socket, client->input + client->input_size,
                                 sizeof(client->input) - client->input_size, NULL);

    if (got <= 0)
        return got == 0 ? SERVED : LEFT;
    client->input_size += (size_t)got;
    return take_input(client) ? SERVED : MISBEHAVED;
}

static int index_of(const struct offer *offer, int socket)
{
    for (int i = 0; i < offer->client_count; i++)
        if (offer->clients[i]->socket == socket)
            return i;
    return -1;
}

void offer_serve(struct offer *offer, const struct pollfd *polls, int count)
{
    for (int i = 0; i < count; i++) {
        int index = polls[i].revents ? index_of(offer, polls[i].fd) : -1;
        enum served served;

        if (index < 0)
            continue;
        served = serve(offer->clients[index]);
        if (served == MISBEHAVED) {
            offer->stats.dropped++;
            report("client %llu was disconnected: it sends what no unixfdsrc sends",
                   (unsigned long long)offer->clients[index]->number);
        }
        if (served != SERVED)
            remove_client(offer, index);
    }
}

/* ---- sending ---- */

static int follow_picture(struct offer *offer, const cuframes_frame_t *frame,
                          const cuframes_channel_info_t *info)
{
    struct unixfd_picture picture = {.format = cuframes_frame_format(frame),
                                     .fps_num = info->fps_num,
                                     .fps_den = info->fps_den,
                                     .sar_num = info->sar_num,
                                     .sar_den = info->sar_den};

    cuframes_frame_size(frame, &picture.width, &picture.height);
    cuframes_frame_color(frame, &picture.color);
    if (offer->caps_number > 0 && unixfd_picture_equal(&picture, &offer->picture))
        return CUFRAMES_OK;
    if (!unixfd_format_number(picture.format)) {
        report("GStreamer has no name for the channel's format %s",
               cuframes_format_name(picture.format));
        return CUFRAMES_ERR_FORMAT;
    }
    offer->picture = picture;
    offer->caps_number++;
    unixfd_encode_caps(&offer->caps, &picture);
    return CUFRAMES_OK;
}

static void describe_planes(const cuframes_frame_t *frame, struct unixfd_video *video)
{
    const uint8_t *start = cuframes_frame_data(frame);
    int32_t width, height;

    cuframes_frame_size(frame, &width, &height);
    *video = (struct unixfd_video){.format = cuframes_frame_format(frame),
                                   .width = (uint32_t)width,
                                   .height = (uint32_t)height,
                                   .plane_count = (uint32_t)cuframes_frame_plane_count(frame)};
    for (uint32_t i = 0; i < video->plane_count; i++) {
        cuframes_plane_t plane;

        cuframes_frame_plane(frame, (int32_t)i, &plane);
        video->offset[i] = (uint64_t)((const uint8_t *)plane.data - start);
        video->stride[i] = (int32_t)plane.pitch;
    }
}

/* Everything about a frame but where its memory is. */
static struct unixfd_buffer describe(struct offer *offer, const cuframes_frame_t *frame)
{
    const uint32_t flags = cuframes_frame_flags(frame);
    const bool jump = (flags & CUFRAMES_FRAME_DISCONTINUITY) || offer->discontinuity;
    int64_t capture_ns = cuframes_frame_capture_ns(frame, NULL);
    struct unixfd_buffer buffer = {
        .dts = UNIXFD_NO_TIME,
        .duration = UNIXFD_NO_TIME,
        .offset = cuframes_frame_seq(frame),
        .offset_end = cuframes_frame_seq(frame) + 1,
        .has_video = true,
        .has_capture = capture_ns != CUFRAMES_NO_TIME && capture_ns >= 0,
        .capture_ns = (uint64_t)capture_ns,
    };

    if (jump)
        place_reset(&offer->place);
    buffer.pts = (uint64_t)place_of(&offer->place, cuframes_frame_pts_ns(frame),
                                    cuframes_frame_published_ns(frame));
    if (offer->picture.fps_num > 0 && offer->picture.fps_den > 0)
        buffer.duration = UINT64_C(1000000000) * (uint64_t)offer->picture.fps_den /
                          (uint64_t)offer->picture.fps_num;
    if (jump || cuframes_frame_missed(frame) > 0 || (flags & CUFRAMES_FRAME_GENERATION))
        buffer.flags |= UNIXFD_FLAG_DISCONT;
    if (flags & CUFRAMES_FRAME_CORRUPT)
        buffer.flags |= UNIXFD_FLAG_CORRUPTED;
    offer->discontinuity = false;
    return buffer;
}

static void say_full(struct client *client, const struct offer *offer)
{
    if (!client->said_full)
        report("client %llu has %d frames, all that it may have: it gets no more until it releases "
               "one (--max-frames)",
               (unsigned long long)client->number, offer->settings->max_frames);
    client->said_full = true;
}

static enum unixfd_sent send_frame(struct offer *offer, struct client *client,
                                   const struct sending *sending)
{
    enum unixfd_sent sent;

    if (client->caps != offer->caps_number) {
        sent = unixfd_send(client->socket, &offer->caps, -1, 0);
        if (sent != UNIXFD_SENT)
            return sent;
        client->caps = offer->caps_number;
    }
    return unixfd_send(client->socket, &sending->message, sending->fd, sending->fd_count);
}

/* False: the client has gone. */
static bool give(struct offer *offer, struct client *client, const struct sending *sending)
{
    enum unixfd_sent sent = UNIXFD_FULL;

    if (client->held_count >= offer->settings->max_frames)
        say_full(client, offer);
    else
        sent = send_frame(offer, client, sending);
    if (sent == UNIXFD_SENT) {
        sending->shared->refs++;
        client->held[client->held_count++] = sending->shared;
        offer->stats.sent++;
    } else if (sent == UNIXFD_FULL) {
        offer->stats.missed++;
    }
    return sent != UNIXFD_GONE;
}

static void give_all(struct offer *offer, const struct sending *sending)
{
    for (int i = offer->client_count; i-- > 0;)
        if (!give(offer, offer->clients[i], sending))
            remove_client(offer, i);
}

/* Whether the frame is to be copied; if not, `buffer` and `*fd` say where it is. */
static bool needs_copy(struct offer *offer, const cuframes_frame_t *frame,
                       const struct unixfd_plain *plain, bool no_hold, struct unixfd_buffer *buffer,
                       int *fd)
{
    struct unixfd_video there;
    uint64_t offset = 0;

    if (offer->settings->copy)
        return true;
    *fd = cuframes_frame_fd(frame, &offset);
    describe_planes(frame, &there);
    if (*fd < 0)
        say_copying(offer, "they are not in host memory that can be passed on");
    else if (!unixfd_arrange(plain, &there, cuframes_frame_data_size(frame), offset, buffer))
        say_copying(offer, "the channel's rows are padded in a way that a reader without "
                           "GstVideoMeta would not expect");
    else if (no_hold)
        say_copying(offer, "the clients have nearly as many frames as this reader may hold; a "
                           "channel with more slots can do without");
    else
        return false;
    return true;
}

int offer_frame(struct offer *offer, cuframes_frame_t *frame, const cuframes_channel_info_t *info,
                bool no_hold)
{
    struct sending sending = {.fd = -1};
    struct unixfd_buffer buffer;
    struct unixfd_plain plain;
    bool copy;
    int error = follow_picture(offer, frame, info);

    if (error || offer->client_count == 0) {
        cuframes_frame_release(frame);
        return error;
    }
    offer->stats.frames++;
    unixfd_plain(offer->picture.format, offer->picture.width, offer->picture.height, &plain);
    buffer = describe(offer, frame);
    buffer.video = plain.video;
    copy = needs_copy(offer, frame, &plain, no_hold, &buffer, &sending.fd);
    sending.shared = share(offer, frame, &plain, copy);
    if (!sending.shared) {
        offer->stats.missed += (uint64_t)offer->client_count;
        return CUFRAMES_OK;
    }
    if (copy) {
        sending.fd = sending.shared->copy;
        buffer.memory_count = 1;
        buffer.memories[0] = (struct unixfd_memory){.size = plain.size};
    }
    buffer.id = sending.shared->id;
    sending.fd_count = buffer.memory_count;
    unixfd_encode_buffer(&sending.message, &buffer);
    give_all(offer, &sending);
    shared_unref(sending.shared);
    return CUFRAMES_OK;
}

void offer_end(struct offer *offer)
{
    struct unixfd_message message;

    unixfd_encode_eos(&message);
    for (int i = 0; i < offer->client_count; i++)
        unixfd_send(offer->clients[i]->socket, &message, -1, 0);
    offer->discontinuity = true;
}

bool offer_has_frames_out(const struct offer *offer)
{
    for (int i = 0; i < offer->client_count; i++)
        if (offer->clients[i]->held_count > 0)
            return true;
    return false;
}
