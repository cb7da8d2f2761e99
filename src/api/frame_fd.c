/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A frame for programs that know nothing of this library: its memory's descriptor and its place.
 */
#include "base/error.h"
#include "channel/subscriber.h"

CUFRAMES_API int cuframes_frame_fd(const cuframes_frame_t *frame, uint64_t *offset)
{
    const struct cf_view *view;

    if (!frame || !offset)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "frame and offset must not be NULL");
    view = frame->view;
    if (view->memory->access != CUFRAMES_ACCESS_IN_PLACE ||
        view->memory->place != CUFRAMES_MEMORY_HOST)
        return cf_fail(CUFRAMES_ERR_FORMAT, "the frame is not read in place in host memory");
    if (view->frames_fd < 0)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "no descriptor was kept: subscribe with CUFRAMES_SUBSCRIBER_FRAME_FD");
    *offset = (uint64_t)((const uint8_t *)cuframes_frame_data(frame) -
                         (const uint8_t *)view->memory->base);
    return view->frames_fd;
}
