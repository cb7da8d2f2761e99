/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What FFmpeg looks for in libnvcuvid.so.1 and does not call.
 */
#define NOT_SUPPORTED 801

#define REFUSED(name)                                                                              \
    int name(void);                                                                                \
    __attribute__((visibility("default"))) int name(void)                                          \
    {                                                                                              \
        return NOT_SUPPORTED;                                                                      \
    }

REFUSED(cuvidCreateVideoSource)
REFUSED(cuvidCreateVideoSourceW)
REFUSED(cuvidCtxLock)
REFUSED(cuvidCtxLockCreate)
REFUSED(cuvidCtxLockDestroy)
REFUSED(cuvidCtxUnlock)
REFUSED(cuvidDestroyVideoSource)
REFUSED(cuvidGetDecodeStatus)
REFUSED(cuvidGetSourceAudioFormat)
REFUSED(cuvidGetSourceVideoFormat)
REFUSED(cuvidGetVideoSourceState)
REFUSED(cuvidReconfigureDecoder)
REFUSED(cuvidSetVideoSourceState)
