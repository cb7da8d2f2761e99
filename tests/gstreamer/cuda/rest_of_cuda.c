/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What GStreamer's CUDA library looks for in the driver beyond what the stand-in for it does: it
 * loads no driver that lacks one of these. Of them, pictures in memory of the device are allocated by
 * cuMemAllocPitch; nothing that is tested calls those that are refused.
 */
#include <stddef.h>
#include <stdint.h>

#define INVALID_VALUE 1
#define NOT_SUPPORTED 801

/* What a real device aligns rows to. */
#define PITCH 512

#define EXPORTED __attribute__((visibility("default")))
#define REFUSED(name)                                                                              \
    int name(void);                                                                                \
    EXPORTED int name(void)                                                                        \
    {                                                                                              \
        return NOT_SUPPORTED;                                                                      \
    }

REFUSED(cuCtxGetLimit)
REFUSED(cuCtxSetLimit)
REFUSED(cuGLGetDevices_v2)
REFUSED(cuGraphicsGLRegisterBuffer)
REFUSED(cuGraphicsGLRegisterImage)
REFUSED(cuGraphicsMapResources)
REFUSED(cuGraphicsResourceGetMappedPointer_v2)
REFUSED(cuGraphicsResourceSetMapFlags_v2)
REFUSED(cuGraphicsSubResourceGetMappedArray)
REFUSED(cuGraphicsUnmapResources)
REFUSED(cuGraphicsUnregisterResource)
REFUSED(cuIpcCloseMemHandle)
REFUSED(cuIpcGetEventHandle)
REFUSED(cuIpcGetMemHandle)
REFUSED(cuIpcOpenEventHandle)
REFUSED(cuIpcOpenMemHandle)
REFUSED(cuMemsetD2D16Async)
REFUSED(cuMemsetD2D16_v2)
REFUSED(cuMemsetD2D32Async)
REFUSED(cuMemsetD2D32_v2)
REFUSED(cuMemsetD2D8Async)
REFUSED(cuMemsetD2D8_v2)
REFUSED(cuTexObjectCreate)
REFUSED(cuTexObjectDestroy)

int cuMemAlloc_v2(uint64_t *pointer, size_t size);
int cuMemAllocPitch_v2(uint64_t *pointer, size_t *pitch, size_t row, size_t rows, unsigned element);
EXPORTED int cuMemAllocPitch_v2(uint64_t *pointer, size_t *pitch, size_t row, size_t rows,
                                unsigned element)
{
    size_t aligned = (row + PITCH - 1) / PITCH * PITCH;
    int result;

    if (element != 4 && element != 8 && element != 16)
        return INVALID_VALUE;
    result = cuMemAlloc_v2(pointer, aligned * rows);
    if (!result)
        *pitch = aligned;
    return result;
}

/* 1.22 asks for the function of before CUDA 4, of the same meaning. */
int cuStreamDestroy_v2(void *stream);
int cuStreamDestroy(void *stream);
EXPORTED int cuStreamDestroy(void *stream)
{
    return cuStreamDestroy_v2(stream);
}
