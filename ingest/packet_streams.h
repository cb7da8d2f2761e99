/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which streams of the input are shared as packets, and what is said about them. Main thread.
 */
#pragma once

#include "packets.h"

/*
 * Chooses and describes the streams of a session's input: video and audio, as many as a channel can
 * have, in the input's order but with the decoded one first among the video. True if they are not
 * those of the session before. What only looks different from there (an estimated frame rate, the
 * order of parameter sets) is not a change.
 */
bool packet_streams_describe(struct packets *packets, struct source *source);

/* The stream with this index in the input, NULL if it is not shared. */
struct packet_stream *packet_streams_find(struct packets *packets, int av_index);

/* Whether `packet` brings parameters that differ from the stream's. */
bool packet_stream_changes(struct packet_stream *stream, const AVPacket *packet);
/* Takes them into the description, with the size of the picture; false if they are too long. */
bool packet_stream_follow(struct packet_stream *stream, const AVPacket *packet);
