/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What there is of a GPU. Nothing is initialised: the driver's library is only looked for.
 */
#include <dlfcn.h>
#include <glob.h>

#include "doctor/findings.h"

static size_t devices(void)
{
    size_t count = 0;
    glob_t found;

    if (glob("/dev/nvidia[0-9]*", 0, NULL, &found) == 0) {
        count = found.gl_pathc;
        globfree(&found);
    }
    return count;
}

void examine_gpu(struct findings *findings)
{
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    size_t count = devices();

    if (driver)
        dlclose(driver);
    if (count == 0 && !driver)
        found_ok(findings, "gpu", "none; frames are shared in host memory");
    else
        found_ok(findings, "gpu",
                 "%zu NVIDIA device files, driver library %s; this version shares frames in host "
                 "memory only",
                 count, driver ? "found" : "not found");
}
