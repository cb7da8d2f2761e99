/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A libnvcuvid.so.1 that decodes nothing: GStreamer's plug-in "nvcodec" registers its elements for
 * memory only where there is one.
 */
#define NOT_SUPPORTED 801

#define REFUSED(name)                                                                              \
    int name(void);                                                                                \
    __attribute__((visibility("default"))) int name(void)                                          \
    {                                                                                              \
        return NOT_SUPPORTED;                                                                      \
    }

REFUSED(cuvidCreateDecoder)
REFUSED(cuvidCreateVideoParser)
REFUSED(cuvidCtxLock)
REFUSED(cuvidCtxLockCreate)
REFUSED(cuvidCtxLockDestroy)
REFUSED(cuvidCtxUnlock)
REFUSED(cuvidDecodePicture)
REFUSED(cuvidDestroyDecoder)
REFUSED(cuvidDestroyVideoParser)
REFUSED(cuvidGetDecodeStatus)
REFUSED(cuvidGetDecoderCaps)
REFUSED(cuvidMapVideoFrame64)
REFUSED(cuvidParseVideoData)
REFUSED(cuvidReconfigureDecoder)
REFUSED(cuvidUnmapVideoFrame64)
