// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The GPU's kernels as functions of the processor, one thread after the other: what they compute
 * can be tested without a GPU.
 */
#include <cstring>

#define KERNEL static
#define DEVICE static

static int block_x, block_y;

static int __nvvm_read_ptx_sreg_ctaid_x()
{
    return block_x;
}
static int __nvvm_read_ptx_sreg_ctaid_y()
{
    return block_y;
}
static int __nvvm_read_ptx_sreg_ntid_x()
{
    return 1;
}
static int __nvvm_read_ptx_sreg_ntid_y()
{
    return 1;
}
static int __nvvm_read_ptx_sreg_tid_x()
{
    return 0;
}
static int __nvvm_read_ptx_sreg_tid_y()
{
    return 0;
}

#include "../../ingest/scale.cu"

template <typename T> static T argument(void **arguments, int index)
{
    T value;

    std::memcpy(&value, arguments[index], sizeof(value));
    return value;
}

extern "C" void run_on_host(const char *name, unsigned width, unsigned height, void **arguments);

extern "C" void run_on_host(const char *name, unsigned width, unsigned height, void **arguments)
{
    bool to_rgb = std::strcmp(name, "scale_to_rgb") == 0;

    for (block_y = 0; block_y < (int)height; block_y++) {
        for (block_x = 0; block_x < (int)width; block_x++) {
            if (to_rgb)
                scale_to_rgb(argument<component>(arguments, 0), argument<component>(arguments, 1),
                             argument<component>(arguments, 2), argument<mapping>(arguments, 3),
                             argument<mapping>(arguments, 4), argument<rgb>(arguments, 5));
            else
                scale_component(argument<component>(arguments, 0),
                                argument<component>(arguments, 1), argument<mapping>(arguments, 2),
                                argument<int>(arguments, 3));
        }
    }
}
