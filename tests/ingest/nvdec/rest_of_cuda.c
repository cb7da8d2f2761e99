/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What FFmpeg looks for in the CUDA driver beyond what the stand-in for it does: it loads no driver
 * that lacks one of these, but nothing that is tested calls those that are refused.
 */
#define NOT_SUPPORTED 801

#define REFUSED(name)                                                                              \
    int name(void);                                                                                \
    __attribute__((visibility("default"))) int name(void)                                          \
    {                                                                                              \
        return NOT_SUPPORTED;                                                                      \
    }

REFUSED(cuArray3DCreate_v2)
REFUSED(cuArrayCreate_v2)
REFUSED(cuArrayDestroy)
REFUSED(cuCtxSetLimit)
REFUSED(cuDeviceComputeCapability)
REFUSED(cuDevicePrimaryCtxReset)
REFUSED(cuGLGetDevices_v2)
REFUSED(cuGraphicsGLRegisterImage)
REFUSED(cuGraphicsMapResources)
REFUSED(cuGraphicsResourceGetMappedPointer_v2)
REFUSED(cuGraphicsSubResourceGetMappedArray)
REFUSED(cuGraphicsUnmapResources)
REFUSED(cuGraphicsUnregisterResource)
REFUSED(cuLinkAddData)
REFUSED(cuLinkComplete)
REFUSED(cuLinkCreate)
REFUSED(cuLinkDestroy)
REFUSED(cuMemAllocManaged)
REFUSED(cuMemAllocPitch_v2)
REFUSED(cuModuleGetGlobal)
REFUSED(cuTexObjectCreate)
REFUSED(cuTexObjectDestroy)

/* FFmpeg asks for the functions of before CUDA 11, of the same meaning. */
int cuDevicePrimaryCtxRelease_v2(int device);
int cuDevicePrimaryCtxRelease(int device);
__attribute__((visibility("default"))) int cuDevicePrimaryCtxRelease(int device)
{
    return cuDevicePrimaryCtxRelease_v2(device);
}
