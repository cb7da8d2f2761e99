/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A table of errors. What is not in it comes with FFmpeg's own words: the newest line that it
 * logged, which tells for instance that a name could not be resolved, or the error's name.
 */
#include "source_error.h"

#include <errno.h>
#include <stdio.h>

#include <libavutil/error.h>

#include "log.h"

static const struct {
    int error;
    enum source_verdict verdict;
    const char *text;
} known[] = {
    {AVERROR(ECONNREFUSED), SOURCE_LOST,
     "connection refused: check address and port, and that the camera is on"},
    {AVERROR(EHOSTUNREACH), SOURCE_LOST,
     "no route to the camera: check its address and the network"},
    {AVERROR(ENETUNREACH), SOURCE_LOST, "the network is unreachable: check this host's network"},
    {AVERROR(ETIMEDOUT), SOURCE_LOST,
     "no answer in time: check address and network; --timeout allows more"},
    {AVERROR_HTTP_UNAUTHORIZED, SOURCE_PERMANENT,
     "refused (401): the user name or password is missing or wrong"},
    {AVERROR_HTTP_FORBIDDEN, SOURCE_PERMANENT, "refused (403): this user may not see the stream"},
    {AVERROR_HTTP_NOT_FOUND, SOURCE_PERMANENT,
     "no such stream there (404): check the path in the URL"},
    {AVERROR_HTTP_BAD_REQUEST, SOURCE_PERMANENT, "the server does not understand the URL (400)"},
    {AVERROR_HTTP_OTHER_4XX, SOURCE_PERMANENT,
     "the server refuses (4xx): another --rtsp-transport may help"},
    {AVERROR_HTTP_SERVER_ERROR, SOURCE_LOST, "the server has a problem of its own (5xx)"},
    {AVERROR(ENOENT), SOURCE_PERMANENT, "there is no such file"},
    {AVERROR(EACCES), SOURCE_PERMANENT, "permission denied: this user may not read it"},
    {AVERROR(EISDIR), SOURCE_PERMANENT, "it is a directory; give a file"},
    {AVERROR(EBUSY), SOURCE_LOST, "the device is in use by another program"},
    {AVERROR(ENODEV), SOURCE_LOST, "the device is gone"},
    {AVERROR_INVALIDDATA, SOURCE_PERMANENT,
     "it is not a video, or damaged, or in a container that this FFmpeg cannot read"},
    {AVERROR_STREAM_NOT_FOUND, SOURCE_PERMANENT, "there is no video in it"},
    {AVERROR_PROTOCOL_NOT_FOUND, SOURCE_PERMANENT, "this FFmpeg does not know the URL's protocol"},
    {AVERROR_DEMUXER_NOT_FOUND, SOURCE_PERMANENT, "this FFmpeg cannot read the container"},
    {AVERROR_OPTION_NOT_FOUND, SOURCE_PERMANENT, "an option is unknown to this FFmpeg"},
    {AVERROR(ENOMEM), SOURCE_LOST, "out of memory"},
};

enum source_verdict source_explain(const struct options *options, int averror, char *text,
                                   size_t size)
{
    char detail[256], name[AV_ERROR_MAX_STRING_SIZE];

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].error == averror) {
            snprintf(text, size, "%s", known[i].text);
            return known[i].verdict;
        }
    }
    av_strerror(averror, name, sizeof(name));
    log_detail(detail, sizeof(detail));
    snprintf(text, size, "%s", detail[0] ? detail : name);
    return source_name_is_live(options) ? SOURCE_LOST : SOURCE_PERMANENT;
}
