/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GPUs: the device files that this process (or its container) sees, whether the driver starts, and
 * what each GPU can do for channels.
 */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "doctor/findings.h"

static const char subject[] = "gpu";

static size_t count_matches(const char *pattern)
{
    size_t count = 0;
    glob_t found;

    if (glob(pattern, 0, NULL, &found) == 0) {
        count = found.gl_pathc;
        globfree(&found);
    }
    return count;
}

/* A file that every program on a GPU opens. */
static void examine_node(struct findings *findings, const char *path)
{
    if (access(path, R_OK | W_OK) == 0)
        return;
    if (errno == ENOENT)
        found_warning(findings, subject,
                      "give the container all of the GPU's device files (docker run --gpus all, or "
                      "its CDI name); on the host: nvidia-modprobe -u -c 0",
                      "%s is not there, although there are device files of GPUs", path);
    else
        found_warning(findings, subject,
                      "let this user open it: usually mode 0666, else a group for it",
                      "%s cannot be opened: %s", path, strerror(errno));
}

static void examine_nodes(struct findings *findings, size_t count)
{
    if (count == 0)
        return;
    found_ok(findings, subject, "%zu device files of GPUs (/dev/nvidia0 and so on)", count);
    examine_node(findings, "/dev/nvidiactl");
    examine_node(findings, "/dev/nvidia-uvm");
}

/* The library's sentence says what to do as well. */
static void explain_absence(struct findings *findings, size_t nodes)
{
    if (nodes == 0 && !can_load("libcuda.so.1"))
        found_ok(findings, subject, "none; frames are shared in host memory (%s)",
                 cuframes_last_error());
    else
        found_warning(findings, subject,
                      "see the sentence above; until then frames are shared in host memory", "%s",
                      cuframes_last_error());
}

static void examine_abilities(struct findings *findings, const cuframes_gpu_info_t *info)
{
    if (info->flags & CUFRAMES_GPU_SHARES)
        found_ok(findings, subject,
                 "GPU %d can share its memory (virtual memory management, "
                 "descriptors)",
                 info->index);
    else
        found_warning(findings, subject,
                      "use another GPU or host memory; a newer driver may bring it, some virtual "
                      "GPUs never have it",
                      "GPU %d cannot share its memory: it has no %s", info->index,
                      info->flags & CUFRAMES_GPU_VMM ? "export as a descriptor"
                                                     : "virtual memory management");
    if (!(info->flags & CUFRAMES_GPU_READS_HOST))
        found_warning(findings, subject,
                      "its subscribers ask for staged access, which copies each frame",
                      "GPU %d cannot read frames in host memory in place", info->index);
    if (info->flags & CUFRAMES_GPU_MIG)
        found_ok(findings, subject,
                 "GPU %d is an instance of a GPU in MIG mode: channels are shared within it, other "
                 "instances and GPUs cannot read its memory",
                 info->index);
}

static void examine_device(struct findings *findings, int index)
{
    char uuid[CUFRAMES_GPU_UUID_TEXT];
    cuframes_gpu_info_t info;

    if (cuframes_gpu_info(index, &info) != CUFRAMES_OK) {
        found_failure(findings, subject, "see dmesg and nvidia-smi", "%s", cuframes_last_error());
        return;
    }
    cuframes_gpu_uuid_text(info.uuid, uuid);
    found_ok(findings, subject, "GPU %d: %s, %s, %.1f GiB; its driver knows CUDA %d.%d", index,
             info.name, uuid, (double)info.memory_size / (1 << 30), info.driver_version / 1000,
             info.driver_version % 1000 / 10);
    examine_abilities(findings, &info);
}

void examine_gpu(struct findings *findings)
{
    size_t nodes = count_matches("/dev/nvidia[0-9]*");
    int count;

    examine_nodes(findings, nodes);
    count = cuframes_gpu_count();
    if (count < 0) {
        explain_absence(findings, nodes);
        return;
    }
    if (nodes > (size_t)count)
        found_ok(findings, subject,
                 "%d of them can be used by this process "
                 "(CUDA_VISIBLE_DEVICES, or the container's choice)",
                 count);
    for (int i = 0; i < count; i++)
        examine_device(findings, i);
    examine_gpu_sharing(findings, count);
}
