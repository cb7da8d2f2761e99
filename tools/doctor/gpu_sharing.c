/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How processes and GPUs share: peer access, MPS, and the libraries of NVDEC and NVENC.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "doctor/findings.h"

#define MOST_NAMED 64

/* "1, 2" of the GPUs that `owner` is read by, or is not. Empty if there are none. */
static void list_readers(int owner, int count, int can, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; i < count && i < MOST_NAMED && used < size; i++)
        if (i != owner && (cuframes_gpu_can_read(i, owner) == 1) == can)
            used += (size_t)snprintf(text + used, size - used, "%s%d", used ? ", " : "", i);
}

static void examine_peers(struct findings *findings, int count)
{
    char can[256], cannot[256];

    for (int i = 0; i < count && count > 1; i++) {
        list_readers(i, count, 1, can, sizeof(can));
        list_readers(i, count, 0, cannot, sizeof(cannot));
        if (can[0])
            found_ok(findings, "gpu peers", "frames of GPU %d are read in place by GPU %s", i, can);
        if (cannot[0])
            found_warning(findings, "gpu peers",
                          "publish on the GPU that reads, or ask for staged access, which copies "
                          "each frame",
                          "frames of GPU %d cannot be read in place by GPU %s", i, cannot);
    }
}

/* Whether a control daemon has made its pipes where this process would look for them. */
static bool mps_is_there(void)
{
    const char *directory = getenv("CUDA_MPS_PIPE_DIRECTORY");
    char path[4096];

    snprintf(path, sizeof(path), "%s/control",
             directory && *directory ? directory : "/tmp/nvidia-mps");
    return access(path, F_OK) == 0;
}

static void examine_mps(struct findings *findings)
{
    static const char gain[] =
        "a reader on the same GPU has copied a 1080p frame 71 us after its publication with MPS, "
        "379 us without (an H200): docs/gpu.md";
    cuframes_gpu_info_t info;

    if (cuframes_gpu_info(0, &info) != CUFRAMES_OK)
        return;
    if (info.flags & CUFRAMES_GPU_MPS)
        found_ok(findings, "mps", "in use: processes work on the GPU at the same time");
    else if (mps_is_there())
        found_warning(findings, "mps",
                      "start programs as the user of the MPS server, with the same "
                      "CUDA_MPS_PIPE_DIRECTORY, and in a container with that directory",
                      "a control daemon is there, and this process is not its client");
    else
        found_ok(findings, "mps", "not in use: processes take turns on the GPU; %s", gain);
}

static void examine_codecs(struct findings *findings)
{
    if (can_load("libnvcuvid.so.1"))
        found_ok(findings, "nvdec", "libnvcuvid.so.1 is there: ingest can decode on the GPU");
    else
        found_warning(findings, "nvdec",
                      "install libnvcuvid1; in a container set "
                      "NVIDIA_DRIVER_CAPABILITIES=compute,video,utility",
                      "libnvcuvid.so.1 is not there: ingest decodes on the processor");
    if (can_load("libnvidia-encode.so.1"))
        found_ok(findings, "nvenc", "libnvidia-encode.so.1 is there, for programs that encode");
    else
        found_ok(findings, "nvenc",
                 "libnvidia-encode.so.1 is not there; cuframes does not need it");
}

void examine_gpu_sharing(struct findings *findings, int count)
{
    examine_peers(findings, count);
    examine_mps(findings);
    examine_codecs(findings);
}
