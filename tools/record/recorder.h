/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a channel's packets to files: where one ends and the next begins. One thread.
 */
#pragma once

#include <cuframes/cuframes.h>

#include "common/packet_attach.h"
#include "packet_writer.h"
#include "record/file.h"
#include "record/names.h"

struct recorder_settings {
    enum packet_format format;
    bool video_only;
    double segment_s; /* 0 = one file */
};

struct recorder {
    const struct recorder_settings *settings;
    struct record_names names;
    struct packet_streams streams; /* of the newest packet generation */
    uint64_t reconnects;           /* of the subscriber, when the streams were read */
    struct packet_writer *writer;  /* NULL between files */
    struct recording_file file;
    bool file_waits;          /* for its first byte, without a writer */
    int64_t begin_ns, end_ns; /* of the file, on the channel's time line */
    bool timed;               /* a packet of the file had a time; else it begins at 0 */
    bool wait_said;           /* that the file waits for parameters */
    uint64_t file_packets;
    int64_t recorded_ns; /* in the files before */
    uint64_t files, lost, refused;
};

void recorder_init(struct recorder *recorder, const struct recorder_settings *settings,
                   const struct record_names *names);

/* Writes a packet that `subscriber` gave. TOOL_CONTINUE, or the exit code after a report. */
int recorder_packet(struct recorder *recorder, cuframes_subscriber_t *subscriber,
                    const cuframes_packet_t *packet);
/* Nothing came for a moment: what is due is written. The same result. */
int recorder_idle(struct recorder *recorder);
/* Finishes the file. The same result. */
int recorder_finish(struct recorder *recorder);

/* What is recorded so far, of all files. */
double recorder_seconds(const struct recorder *recorder);
