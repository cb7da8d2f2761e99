/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stand-in for libnvcuvid.so.1 over the stand-in for the CUDA driver, for tests on machines
 * without a GPU: its parser is libavcodec's decoder for the processor, whose pictures it keeps by
 * index, shows some packets later as the real one does, and puts into device memory when they are
 * mapped. So what is tested is who owns which memory when, in which order, and what follows a
 * failure; it says nothing about a GPU.
 *
 * $CUVID_FAULTS is a list of CALL:FIRST-LAST=RESULT with commas: those calls of "create", "decode"
 * or "map", counted over the life of the process, return that number.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include <ffnvcodec/dynlink_cuda.h>

#include <ffnvcodec/dynlink_cuviddec.h>
#include <ffnvcodec/dynlink_nvcuvid.h>

#define EXPORTED __attribute__((visibility("default")))
#define PICTURES 64
#define TIMES    256
#define PITCH    256

enum { INVALID_VALUE = 1, UNKNOWN = 999, NOT_SUPPORTED = 801 };

CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t size);
CUresult cuMemFree_v2(CUdeviceptr pointer);
CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t size);

/* The library's functions; its headers have types only. */
tcuvidGetDecoderCaps cuvidGetDecoderCaps;
tcuvidCreateVideoParser cuvidCreateVideoParser;
tcuvidParseVideoData cuvidParseVideoData;
tcuvidDestroyVideoParser cuvidDestroyVideoParser;
tcuvidCreateDecoder cuvidCreateDecoder;
tcuvidDestroyDecoder cuvidDestroyDecoder;
tcuvidDecodePicture cuvidDecodePicture;
tcuvidMapVideoFrame cuvidMapVideoFrame64;
tcuvidUnmapVideoFrame cuvidUnmapVideoFrame64;

struct decoder {
    CUVIDDECODECREATEINFO info;
    CUdeviceptr surface;
    size_t size;
    int pitch;
    uint8_t *host;
    int mapped;
};

struct parser {
    CUVIDPARSERPARAMS parameters;
    AVCodecContext *codec;
    AVFrame *frame;
    AVPacket *packet;
    int width, height, format; /* of the present sequence */
    int next, surfaces;
    int waiting[PICTURES], wait_count; /* decoded, not shown */
    long long times[TIMES];            /* of packets, rising */
    int time_count;
};

/* Pictures of all parsers by index: a decoder does not know its parser. */
static AVFrame *pictures[PICTURES];

static CUresult fault(const char *call, int *count)
{
    const char *list = getenv("CUVID_FAULTS");
    int number = ++*count;

    while (list && *list) {
        int first, last, result;
        char name[16];

        if (sscanf(list, "%15[a-z]:%d-%d=%d", name, &first, &last, &result) == 4 &&
            strcmp(name, call) == 0 && number >= first && number <= last)
            return (CUresult)result;
        list = strchr(list, ',');
        list = list ? list + 1 : NULL;
    }
    return CUDA_SUCCESS;
}

static enum AVCodecID codec_id(cudaVideoCodec codec)
{
    switch (codec) {
    case cudaVideoCodec_H264:
        return AV_CODEC_ID_H264;
    case cudaVideoCodec_HEVC:
        return AV_CODEC_ID_HEVC;
    case cudaVideoCodec_JPEG:
        return AV_CODEC_ID_MJPEG;
    case cudaVideoCodec_VP9:
        return AV_CODEC_ID_VP9;
    default:
        return AV_CODEC_ID_NONE;
    }
}

EXPORTED CUresult CUDAAPI cuvidGetDecoderCaps(CUVIDDECODECAPS *caps)
{
    caps->bIsSupported = codec_id(caps->eCodecType) != AV_CODEC_ID_NONE &&
                         caps->eChromaFormat == cudaVideoChromaFormat_420 &&
                         caps->nBitDepthMinus8 <= 2;
    caps->nMaxWidth = caps->nMaxHeight = 4096;
    caps->nMaxMBCount = 65536;
    caps->nMinWidth = caps->nMinHeight = 16;
    return CUDA_SUCCESS;
}

/* --- parser --------------------------------------------------------------------------------- */

static int is_key(const AVFrame *frame)
{
#ifdef AV_FRAME_FLAG_KEY
    return (frame->flags & AV_FRAME_FLAG_KEY) != 0;
#else
    return frame->key_frame;
#endif
}

static int bit_depth(const AVFrame *frame)
{
    return av_pix_fmt_desc_get(frame->format)->comp[0].depth;
}

static int tell_sequence(struct parser *p, const AVFrame *frame)
{
    CUVIDEOFORMAT format = {
        .codec = p->parameters.CodecType,
        .progressive_sequence = 1,
        .bit_depth_luma_minus8 = (unsigned char)(bit_depth(frame) - 8),
        .bit_depth_chroma_minus8 = (unsigned char)(bit_depth(frame) - 8),
        .min_num_decode_surfaces = 8,
        .coded_width = (unsigned)FFALIGN(frame->width, 16),
        .coded_height = (unsigned)FFALIGN(frame->height, 16),
        .display_area = {0, 0, frame->width, frame->height},
        .chroma_format = cudaVideoChromaFormat_420,
        .display_aspect_ratio = {frame->width, frame->height},
    };
    int told;

    format.video_signal_description.color_primaries = (unsigned char)frame->color_primaries;
    format.video_signal_description.transfer_characteristics = (unsigned char)frame->color_trc;
    format.video_signal_description.matrix_coefficients = (unsigned char)frame->colorspace;
    p->width = frame->width;
    p->height = frame->height;
    p->format = frame->format;
    /* More than 1 is how many surfaces the decoder has; 1 leaves it as it was. */
    told = p->parameters.pfnSequenceCallback(p->parameters.pUserData, &format);
    if (told > 1)
        p->surfaces = FFMIN(told, PICTURES);
    return told;
}

static void note_time(struct parser *p, long long time)
{
    int i = p->time_count;

    if (p->time_count == TIMES)
        memmove(p->times, p->times + 1, sizeof(*p->times) * (size_t)(i = --p->time_count));
    for (; i > 0 && p->times[i - 1] > time; i--)
        p->times[i] = p->times[i - 1];
    p->times[i] = time;
    p->time_count++;
}

/* As the chip's parser does it: pictures, as they are shown, get the times of packets in rising
 * order, whichever packet had which. */
static long long next_time(struct parser *p)
{
    long long time = p->times[0];

    if (p->time_count == 0)
        return 0;
    p->time_count--;
    memmove(p->times, p->times + 1, sizeof(*p->times) * (size_t)p->time_count);
    return time;
}

static void show(struct parser *p)
{
    CUVIDPARSERDISPINFO info = {.picture_index = p->waiting[0], .progressive_frame = 1};

    info.timestamp = next_time(p);
    p->wait_count--;
    memmove(p->waiting, p->waiting + 1, sizeof(int) * (size_t)p->wait_count);
    p->parameters.pfnDisplayPicture(p->parameters.pUserData, &info);
}

static void show_all(struct parser *p)
{
    while (p->wait_count > 0)
        show(p);
}

static CUresult take_picture(struct parser *p)
{
    CUVIDPICPARAMS picture = {.intra_pic_flag = is_key(p->frame)};
    int index;

    if (p->frame->width != p->width || p->frame->height != p->height ||
        p->frame->format != p->format) {
        show_all(p);
        if (!tell_sequence(p, p->frame))
            return (CUresult)INVALID_VALUE;
    }
    index = p->next++ % p->surfaces;
    av_frame_unref(pictures[index]);
    av_frame_move_ref(pictures[index], p->frame);
    picture.CurrPicIdx = index;
    if (!p->parameters.pfnDecodePicture(p->parameters.pUserData, &picture))
        return (CUresult)UNKNOWN;
    p->waiting[p->wait_count++] = index;
    if (p->wait_count > (int)p->parameters.ulMaxDisplayDelay)
        show(p);
    return CUDA_SUCCESS;
}

EXPORTED CUresult CUDAAPI cuvidCreateVideoParser(CUvideoparser *made, CUVIDPARSERPARAMS *parameters)
{
    const AVCodec *codec = avcodec_find_decoder(codec_id(parameters->CodecType));
    struct parser *p = calloc(1, sizeof(*p));

    for (int i = 0; i < PICTURES; i++)
        if (!pictures[i])
            pictures[i] = av_frame_alloc();
    p->parameters = *parameters;
    p->surfaces = (int)FFMIN(parameters->ulMaxNumDecodeSurfaces, PICTURES);
    p->codec = avcodec_alloc_context3(codec);
    p->frame = av_frame_alloc();
    p->packet = av_packet_alloc();
    p->codec->thread_count = 1;
    if (!codec || avcodec_open2(p->codec, codec, NULL) < 0)
        return (CUresult)NOT_SUPPORTED;
    *made = (CUvideoparser)p;
    return CUDA_SUCCESS;
}

EXPORTED CUresult CUDAAPI cuvidParseVideoData(CUvideoparser parser, CUVIDSOURCEDATAPACKET *packet)
{
    struct parser *p = (struct parser *)parser;
    CUresult result = CUDA_SUCCESS;
    bool end = packet->flags & CUVID_PKT_ENDOFSTREAM;

    if (packet->payload_size > 0) {
        av_new_packet(p->packet, (int)packet->payload_size);
        memcpy(p->packet->data, packet->payload, packet->payload_size);
        if (packet->flags & CUVID_PKT_TIMESTAMP)
            note_time(p, packet->timestamp);
    }
    avcodec_send_packet(p->codec, end ? NULL : p->packet);
    av_packet_unref(p->packet);
    while (!result && avcodec_receive_frame(p->codec, p->frame) >= 0)
        result = take_picture(p);
    if (end)
        show_all(p);
    return result;
}

EXPORTED CUresult CUDAAPI cuvidDestroyVideoParser(CUvideoparser parser)
{
    struct parser *p = (struct parser *)parser;

    avcodec_free_context(&p->codec);
    av_frame_free(&p->frame);
    av_packet_free(&p->packet);
    free(p);
    return CUDA_SUCCESS;
}

/* --- decoder -------------------------------------------------------------------------------- */

EXPORTED CUresult CUDAAPI cuvidCreateDecoder(CUvideodecoder *made, CUVIDDECODECREATEINFO *info)
{
    static int count;
    int sample = info->OutputFormat == cudaVideoSurfaceFormat_P016 ? 2 : 1;
    CUresult result = fault("create", &count);
    struct decoder *d;

    if (result)
        return result;
    d = calloc(1, sizeof(*d));
    d->info = *info;
    d->pitch = FFALIGN((int)info->ulTargetWidth * sample, PITCH);
    d->size = (size_t)d->pitch * info->ulTargetHeight * 3 / 2;
    d->host = malloc(d->size);
    result = cuMemAlloc_v2(&d->surface, d->size);
    *made = d;
    return result;
}

EXPORTED CUresult CUDAAPI cuvidDestroyDecoder(CUvideodecoder decoder)
{
    struct decoder *d = decoder;

    cuMemFree_v2(d->surface);
    free(d->host);
    free(d);
    return CUDA_SUCCESS;
}

EXPORTED CUresult CUDAAPI cuvidDecodePicture(CUvideodecoder decoder, CUVIDPICPARAMS *picture)
{
    static int count;

    (void)decoder;
    (void)picture;
    return fault("decode", &count);
}

/* The picture as the chip has it: NV12 or P010, with chroma after the target's rows. */
static int render(struct decoder *d, const AVFrame *frame)
{
    bool wide = d->info.OutputFormat == cudaVideoSurfaceFormat_P016;
    enum AVPixelFormat format = wide ? AV_PIX_FMT_P010 : AV_PIX_FMT_NV12;
    uint8_t *planes[4] = {d->host, d->host + (size_t)d->pitch * d->info.ulTargetHeight};
    int pitches[4] = {d->pitch, d->pitch};
    struct SwsContext *sws;

    if (frame->width > (int)d->info.ulTargetWidth || frame->height > (int)d->info.ulTargetHeight)
        return -1;
    sws = sws_getContext(frame->width, frame->height, frame->format, frame->width, frame->height,
                         format, SWS_POINT, NULL, NULL, NULL);
    sws_scale(sws, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, planes,
              pitches);
    sws_freeContext(sws);
    return 0;
}

EXPORTED CUresult CUDAAPI cuvidMapVideoFrame64(CUvideodecoder decoder, int index,
                                               unsigned long long *pointer, unsigned *pitch,
                                               CUVIDPROCPARAMS *parameters)
{
    static int count;
    struct decoder *d = decoder;
    CUresult result = fault("map", &count);

    (void)parameters;
    if (result)
        return result;
    /* One surface at a time: who keeps one stops the chip. */
    if (d->mapped++ > 0 || index < 0 || index >= PICTURES || render(d, pictures[index]) < 0)
        return (CUresult)INVALID_VALUE;
    *pointer = d->surface;
    *pitch = (unsigned)d->pitch;
    return cuMemcpyHtoD_v2(d->surface, d->host, d->size);
}

EXPORTED CUresult CUDAAPI cuvidUnmapVideoFrame64(CUvideodecoder decoder, unsigned long long pointer)
{
    struct decoder *d = decoder;

    d->mapped--;
    return pointer == d->surface ? CUDA_SUCCESS : (CUresult)INVALID_VALUE;
}
