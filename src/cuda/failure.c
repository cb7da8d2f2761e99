/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a user can do about an answer of the driver, and what a container lacks when the driver does
 * not start at all.
 */
#include "cuda/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

#define TEXT_SIZE 256

bool cf_cuda_is_fatal(cf_CUresult result)
{
    switch (result) {
    case CF_CU_SUCCESS:
    case CF_CU_INVALID_VALUE:
    case CF_CU_OUT_OF_MEMORY:
    case CF_CU_INVALID_CONTEXT:
    case CF_CU_INVALID_HANDLE:
    case CF_CU_NOT_READY:
    case CF_CU_NOT_PERMITTED:
    case CF_CU_NOT_SUPPORTED:
        return false;
    default:
        return true;
    }
}

static const char *advice(cf_CUresult result)
{
    switch (result) {
    case CF_CU_OUT_OF_MEMORY:
        return "the GPU has no memory left: use fewer or smaller slots, or another GPU, or end "
               "other programs on it (nvidia-smi lists them)";
    case CF_CU_DEINITIALIZED:
        return "the program is ending and CUDA has shut down: destroy channels before the end of "
               "main()";
    case CF_CU_DEVICE_UNAVAILABLE:
        return "the GPU is in exclusive or prohibited compute mode: see nvidia-smi -q -d COMPUTE";
    case CF_CU_INVALID_CONTEXT:
        return "the context is not one of this GPU, or was destroyed";
    case CF_CU_INVALID_HANDLE:
        return "the stream or event is not valid: it was destroyed, or belongs to another context";
    case CF_CU_ILLEGAL_ADDRESS:
    case CF_CU_LAUNCH_FAILED:
        return "a kernel of this process failed and its CUDA context is lost: find the kernel "
               "(compute-sanitizer), and start the process again";
    case CF_CU_CONTEXT_IS_DESTROYED:
        return "the context was destroyed while it was in use: destroy channels first";
    case CF_CU_NOT_PERMITTED:
    case CF_CU_NOT_SUPPORTED:
        return "this GPU, its mode (MIG, vGPU, confidential computing) or its driver does not "
               "allow it: use host memory, or another GPU";
    case CF_CU_OPERATING_SYSTEM:
        return "the system refused it: too few descriptors (ulimit -n), or a container without "
               "all of the GPU's device nodes";
    case CF_CU_MPS_CONNECTION_FAILED:
        return "the MPS server cannot be reached: start it, or unset CUDA_MPS_PIPE_DIRECTORY";
    default:
        return "cuframes doctor looks for the cause";
    }
}

void cf_record_cuda(const struct cf_driver *driver, cf_CUresult result, const char *call,
                    const char *format, ...)
{
    const char *name = NULL, *text = NULL;
    char what[TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    if (driver->cuGetErrorName(result, &name) != CF_CU_SUCCESS || !name)
        name = "an unknown error";
    if (driver->cuGetErrorString(result, &text) != CF_CU_SUCCESS || !text)
        text = "no description";
    cf_record_failure(result == CF_CU_OUT_OF_MEMORY ? CUFRAMES_ERR_OUT_OF_MEMORY
                                                    : CUFRAMES_ERR_CUDA,
                      "%s: %s: %s %d (%s); %s", what, call, name, result, text, advice(result));
}

/* ---- why it does not start ---- */

/* Whether /proc is that of another PID namespace; the driver looks itself up there. */
static bool proc_is_foreign(void)
{
    char self[32];
    ssize_t length = readlink("/proc/self", self, sizeof(self) - 1);

    if (length < 0)
        return true;
    self[length] = '\0';
    return strtol(self, NULL, 10) != (long)getpid();
}

/* The device nodes that this process does not have, or cannot open, as a list; empty = all there. */
static void list_missing_nodes(char *text, size_t size)
{
    static const char *const nodes[] = {"/dev/nvidiactl", "/dev/nvidia-uvm"};
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
        if (access(nodes[i], R_OK | W_OK) != 0 && used < size)
            used +=
                (size_t)snprintf(text + used, size - used, "%s%s", used ? " and " : "", nodes[i]);
}

static const char *start_advice(cf_CUresult result)
{
    switch (result) {
    case CF_CU_NO_DEVICE:
        return "no GPU is visible: see CUDA_VISIBLE_DEVICES, NVIDIA_VISIBLE_DEVICES, and "
               "nvidia-smi -L";
    case CF_CU_STUB_LIBRARY:
        return "libcuda.so.1 is the toolkit's stub, not a driver: correct LD_LIBRARY_PATH";
    case CF_CU_SYSTEM_NOT_READY:
        return "the system is not ready: on machines with NVSwitch the fabric manager must run";
    case CF_CU_DRIVER_MISMATCH:
        return "libcuda.so.1 and the kernel module are of different versions: reboot after an "
               "update, or start the container again";
    case CF_CU_COMPAT_NOT_SUPPORTED:
        return "the forward compatibility package does not support this GPU: remove it";
    case CF_CU_MPS_CONNECTION_FAILED:
        return "the MPS server cannot be reached: start it, or unset CUDA_MPS_PIPE_DIRECTORY";
    default:
        return "see dmesg and nvidia-smi";
    }
}

bool cf_cuda_explain_start(const struct cf_driver *driver, cf_CUresult result, char *text,
                           size_t size)
{
    const char *name = NULL;
    char missing[64];

    if (driver->cuGetErrorName(result, &name) != CF_CU_SUCCESS || !name)
        name = "an unknown error";
    list_missing_nodes(missing, sizeof(missing));
    if (proc_is_foreign())
        snprintf(text, size,
                 "the NVIDIA driver does not start (cuInit: %s %d), because /proc is not that of "
                 "this PID namespace: mount it again in there (unshare --mount-proc)",
                 name, result);
    else if (missing[0])
        snprintf(text, size,
                 "the NVIDIA driver does not start (cuInit: %s %d): %s cannot be opened; give the "
                 "container the GPU (docker run --gpus all), or load the kernel module "
                 "(nvidia-modprobe -u)",
                 name, result, missing);
    else
        snprintf(text, size, "the NVIDIA driver does not start (cuInit: %s %d): %s", name, result,
                 start_advice(result));
    return result == CF_CU_NO_DEVICE;
}
