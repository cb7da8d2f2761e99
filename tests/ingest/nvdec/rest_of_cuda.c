/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What FFmpeg looks for in the CUDA driver beyond what the stand-in for it does: it loads no driver
 * that lacks one of these, but the decoders do not call them.
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
REFUSED(cuDevicePrimaryCtxRelease)
REFUSED(cuDevicePrimaryCtxReset)
REFUSED(cuDevicePrimaryCtxSetFlags)
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
