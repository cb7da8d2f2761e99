/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Failures of the driver in words: which call, what it answered, what to do.
 */
#pragma once

#include <stdbool.h>

#include "cuda/driver.h"

#include <cuframes/error.h>

/* Not called by itself: see the macro. */
void cf_record_cuda(const struct cf_driver *driver, cf_CUresult result, const char *call,
                    const char *format, ...) CUFRAMES_PRINTF(4, 5);

/*
 * Records "<what>: <call>: <name> (<text>); <what to do>" for this thread, and is the error:
 * OUT_OF_MEMORY when the GPU is out of memory, else CUDA. A macro, so that a compiler and an
 * analyser see that it is one.
 */
#define cf_cuda_failed(driver, result, call, ...)                                                  \
    __extension__({                                                                                \
        const cf_CUresult cf_result = (result);                                                    \
        cf_record_cuda((driver), cf_result, (call), __VA_ARGS__);                                  \
        cf_result == CF_CU_OUT_OF_MEMORY ? CUFRAMES_ERR_OUT_OF_MEMORY : CUFRAMES_ERR_CUDA;         \
    })

/* Why the driver does not start, into `text`. Returns whether that means that there is no GPU. */
bool cf_cuda_explain_start(const struct cf_driver *driver, cf_CUresult result, char *text,
                           size_t size);

/* Whether a context that answers so is of no more use. */
bool cf_cuda_is_fatal(cf_CUresult result);
