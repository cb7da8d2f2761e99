/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attaching to a channel and waiting for frames in a way that a signal can end.
 */
#pragma once

#include <cuframes/cuframes.h>

#define ATTACH_DEFAULT_WAIT_S 5.0
#define ATTACH_WAIT_HELP      "wait so long for the channel to come (default 5)"

/* A publisher that is not waited for has so long to answer, too. */
#define ATTACH_ANSWER_S 1.0

/*
 * Waits up to `wait_s` seconds for the publisher. One that is there but does not answer is not waited
 * for longer than `limit_s`, the time after which the tool is to end (0 = it has none). Returns
 * CUFRAMES_OK, the library's error, or CUFRAMES_ERR_WOULD_BLOCK when a signal came. How `config` says
 * to connect is not used.
 */
int attach(const cuframes_subscriber_config_t *config, double wait_s, double limit_s,
           cuframes_subscriber_t **subscriber);
/* How long a publisher's answer may take, in seconds. */
double attach_answer_s(double wait_s, double limit_s);

/* For a reader that looks at pixels: frames in GPU memory are copied to the host for it, which
 * attach() says on stderr. */
void attach_for_cpu(cuframes_subscriber_config_t *config);

/*
 * The next frame, waiting until `deadline_ns` (cuframes_now_ns(); INT64_MAX = for ever):
 * CUFRAMES_ERR_TIMEOUT after it, CUFRAMES_ERR_WOULD_BLOCK when a signal came.
 */
int attach_next(cuframes_subscriber_t *subscriber, int64_t deadline_ns, cuframes_frame_t **frame);
