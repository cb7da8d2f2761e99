/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gives a stock FFmpeg the formats of this folder, without a rebuild: cuframes-ffmpeg preloads it.
 *
 * libavdevice hands libavformat its lists of devices with avpriv_register_devices(), a call from
 * one library into another, which a preloaded object can take. This one adds its formats to the
 * lists; everything in libavformat that looks for a format then finds them. A program that never
 * registers devices gets them when this is loaded. Listing sources asks libavdevice itself, so
 * that call is taken too.
 *
 * The format structures have parts that are FFmpeg's own and differ between releases, so nothing
 * is registered with a release that this was not built for.
 */
#include "ffmpeg/libavdevice/cuframes_compat.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if CUFRAMES_FFMPEG_5_1
#define RELEASE "5.1"
#else
#define RELEASE "7.1"
#endif

#define EXIT_REFUSED 69

extern const CuframesInputFormat ff_cuframes_demuxer;
extern const CuframesInputFormat ff_cuframes_packets_demuxer;
extern const CuframesOutputFormat ff_cuframes_muxer;

typedef const AVInputFormat *const *InputList;
typedef const AVOutputFormat *const *OutputList;
typedef void Register(OutputList, InputList);
typedef const AVInputFormat *NextInput(const AVInputFormat *);

static const AVInputFormat *const our_inputs[] = {
    (const AVInputFormat *)&ff_cuframes_demuxer,
    (const AVInputFormat *)&ff_cuframes_packets_demuxer,
    NULL,
};
static const AVOutputFormat *const our_outputs[] = {
    (const AVOutputFormat *)&ff_cuframes_muxer,
    NULL,
};

static size_t length(const void *const *list)
{
    size_t n = 0;

    while (list && list[n])
        n++;
    return n;
}

/* Both lists, ended by NULL; the formats live as long as the process, and so does this. */
static const void **join(const void *const *first, const void *const *second)
{
    size_t n = length(first), m = length(second);
    const void **both = calloc(n + m + 1, sizeof(*both));

    if (!both) {
        fputs("cuframes-ffmpeg: out of memory\n", stderr);
        exit(EXIT_REFUSED);
    }
    if (n)
        memcpy(both, first, n * sizeof(*both));
    memcpy(both + n, second, m * sizeof(*both));
    return both;
}

void avpriv_register_devices(OutputList outputs, InputList inputs);
__attribute__((visibility("default"))) void avpriv_register_devices(OutputList outputs,
                                                                    InputList inputs)
{
    Register *real = (Register *)dlsym(RTLD_NEXT, "avpriv_register_devices");

    if (real)
        real((OutputList)join((const void *const *)outputs, (const void *const *)our_outputs),
             (InputList)join((const void *const *)inputs, (const void *const *)our_inputs));
}

__attribute__((visibility("default"))) const AVInputFormat *
av_input_video_device_next(const AVInputFormat *previous)
{
    NextInput *real = (NextInput *)dlsym(RTLD_NEXT, "av_input_video_device_next");
    const AVInputFormat *next;

    for (size_t i = 0; our_inputs[i]; i++)
        if (previous == our_inputs[i])
            return our_inputs[i + 1];
    next = real ? real(previous) : NULL;
    return next ? next : our_inputs[0];
}

/* What FFmpeg starts shall not have this preloaded: it is the first of the list. */
static void leave_preload(void)
{
    const char *list = getenv("LD_PRELOAD");
    const char *rest = list ? strchr(list, ':') : NULL;

    if (rest && rest[1])
        setenv("LD_PRELOAD", rest + 1, 1);
    else
        unsetenv("LD_PRELOAD");
}

static void check_release(void)
{
    unsigned version = avformat_version();

    if (version >> 8 == (unsigned)LIBAVFORMAT_VERSION_INT >> 8)
        return;
    fprintf(stderr,
            "cuframes-ffmpeg: this FFmpeg has libavformat %u.%u; this part of cuframes was built "
            "for FFmpeg " RELEASE " (libavformat %d.%d) and works with no other.\n",
            version >> 16, version >> 8 & 0xff, LIBAVFORMAT_VERSION_MAJOR,
            LIBAVFORMAT_VERSION_MINOR);
    exit(EXIT_REFUSED);
}

__attribute__((constructor)) static void start(void)
{
    leave_preload();
    check_release();
    avpriv_register_devices(NULL, NULL);
}
