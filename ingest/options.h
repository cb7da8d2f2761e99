/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of the ingester.
 */
#pragma once

#include <stdbool.h>

#include <libavutil/dict.h>

#include <cuframes/cuframes.h>

#include "rendition_spec.h"

#define OPTIONS_ACK_TIMEOUT_MS 200

/* Who decodes. */
enum decode { DECODE_AUTO, DECODE_NVDEC, DECODE_CPU, DECODE_WAYS };
/* When. */
enum decode_when { DECODE_ALWAYS, DECODE_ON_DEMAND, DECODE_OFF };

enum transport { TRANSPORT_TCP, TRANSPORT_UDP, TRANSPORT_AUTO };

struct options {
    const char *progname;
    char *input; /* with its password; print it through log_line() only */
    const char *key;
    const char *input_format;
    AVDictionary *input_options;
    enum transport transport;
    double timeout_s;
    bool reconnect;
    bool realtime, loop;

    enum decode decode;
    const char *gpu;          /* number or UUID; NULL = the first */
    bool gpu_if_there;        /* --cuda-device: the processor decodes where there is none */
    cuframes_memory_t memory; /* AUTO: where the pictures are decoded */
    enum decode_when when;
    const char *decode_said, *when_said; /* words of --decode; NULL = none */
    double on_demand_stop_s;             /* go on decoding so long without a subscriber */
    bool packets;                        /* share them */
    bool packet_video_only;
    double packet_keep_s; /* seconds that the packet ring keeps */

    int32_t width, height; /* 0 = as decoded */
    bool format_given;
    cuframes_format_t format;
    double max_fps; /* 0 = all */

    struct rendition_spec *renditions; /* --output */
    int rendition_count;

    cuframes_policy_t policy;
    int32_t ack_timeout_ms;
    int32_t slots;   /* for readers, on top of what the decoder needs */
    int32_t threads; /* 0 = automatic */
    int32_t wait_subscribers;
    uint32_t socket_mode;
    const char *socket_group;
    uint32_t users[CUFRAMES_MAX_ALLOWED_USERS];
    uint32_t user_count;
    const char *runtime_dir;

    double stats_interval_s; /* 0 = never */
    cuframes_log_level_t log_level;

    uint64_t given; /* bit i: option number OPT_INPUT + i (option_id.h) */
};

/*
 * Parses the command line, opens the reports, and overwrites passwords in argv. Returns true when
 * there is something to run; else `exit_code` is what to end with (0 after --help). The options
 * are to be freed with options_fini() in both cases.
 */
bool options_parse(struct options *options, int argc, char **argv, const char *progname,
                   int *exit_code);
void options_fini(struct options *options);
