/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program's streams, of whatever context they are.
 */
#pragma once

#include "cuda/device.h"

/* A place in a stream that can be waited for. All zero = none yet; can be set again and again. */
struct cf_cuda_mark {
    cf_CUevent event;
    cf_CUcontext context; /* of the event */
};

/*
 * Sets the mark behind everything that is in `stream` now. NULL is the legacy default stream of
 * `cuda`'s context. The calling thread may have any current context, or none. `*fatal` (may be
 * NULL) tells whether CUDA as such has failed, and not this stream alone.
 */
int cf_cuda_mark(struct cf_cuda *cuda, void *stream, struct cf_cuda_mark *mark, bool *fatal);
/* Whether to look at marks for a moment before sleeping, because that has paid lately. All zero to
 * begin with; of one thread. */
struct cf_cuda_patience {
    int64_t spin_ns;
    uint32_t sleeps;
};

/* Waits until all that was before the mark is done; CUDA if it has failed. Without `patience` it
 * sleeps at once. */
int cf_cuda_await(struct cf_cuda *cuda, const struct cf_cuda_mark *mark,
                  struct cf_cuda_patience *patience);
/* Empty is fine. */
void cf_cuda_mark_fini(struct cf_cuda *cuda, struct cf_cuda_mark *mark);

/* Maps host memory (whole pages) for the device, until cf_cuda_unmap_host(). */
int cf_cuda_map_host(struct cf_cuda *cuda, void *address, size_t size, unsigned flags,
                     cf_CUdeviceptr *pointer);
void cf_cuda_unmap_host(struct cf_cuda *cuda, void *address);

/* Writes 0 to the word at `address` when all that is in `stream` is done. False: this driver or
 * device does not, and nothing will be written. */
bool cf_cuda_clear_word(struct cf_cuda *cuda, void *stream, cf_CUdeviceptr address);

/* Copies in the order of `stream`: from the host to the device, from the device to the host, on the
 * device. From and to pageable host memory a copy has ended, for the host, when the call returns. */
int cf_cuda_copy_in(struct cf_cuda *cuda, void *stream, void *to, const void *from, size_t size);
int cf_cuda_copy_out(struct cf_cuda *cuda, void *stream, void *to, const void *from, size_t size);
int cf_cuda_copy_on(struct cf_cuda *cuda, void *stream, void *to, const void *from, size_t size);
/* Copies from the device to pageable host memory, behind nobody's work: in a stream of its own. The copy
 * has ended when the call returns. */
int cf_cuda_fetch(struct cf_cuda *cuda, void *to, const void *from, size_t size);
/* Makes a stream of its own, whose work comes behind what is now in each of the others. Destroyed, it
 * ends when its work is done. */
int cf_cuda_join(struct cf_cuda *cuda, void *const *streams, uint32_t count, void **joined);
void cf_cuda_end_stream(struct cf_cuda *cuda, void *stream);
/* Waits until all that is in the stream is done. */
int cf_cuda_finish(struct cf_cuda *cuda, void *stream);
