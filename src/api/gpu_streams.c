/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Streams behind several of the program's.
 */
#include <cuframes/gpu.h>

#include "base/error.h"
#include "cuda/stream.h"

CUFRAMES_API int cuframes_gpu_join_streams(int32_t index, void *const *streams, uint32_t count,
                                           void **stream)
{
    struct cf_cuda *cuda;
    int err;

    if (!streams || count == 0 || !stream)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "streams, at least one of them, and stream are needed");
    if ((err = cf_cuda_open(index, &cuda)) != 0)
        return err;
    err = cf_cuda_join(cuda, streams, count, stream);
    cf_cuda_unref(cuda);
    return err;
}

CUFRAMES_API int cuframes_gpu_end_stream(int32_t index, void *stream)
{
    struct cf_cuda *cuda;
    int err;

    if (!stream)
        return CUFRAMES_OK;
    if ((err = cf_cuda_open(index, &cuda)) != 0)
        return err;
    cf_cuda_end_stream(cuda, stream);
    cf_cuda_unref(cuda);
    return CUFRAMES_OK;
}
