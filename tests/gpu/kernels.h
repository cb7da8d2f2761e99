/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernels of the tests, as text that the driver compiles when it loads it: no compiler for GPU
 * code is needed. The stand-in knows them by their names (tests/standin/kernels.c).
 *
 * A picture with the pattern of a stamp is `count` words of 64 bits, word i being
 * stamp * 0x9e3779b97f4a7c15 + i (-7046029254386353131 as a signed number).
 */
#pragma once

/* Word index of this thread into %i, number of threads into %n. */
#define KERNEL_INDEX                                                                               \
    "  mov.u32 %r1, %ctaid.x;\n"                                                                   \
    "  mov.u32 %r2, %ntid.x;\n"                                                                    \
    "  mov.u32 %r3, %tid.x;\n"                                                                     \
    "  mov.u32 %r4, %nctaid.x;\n"                                                                  \
    "  mul.wide.u32 %i, %r1, %r2;\n"                                                               \
    "  cvt.u64.u32 %t, %r3;\n"                                                                     \
    "  add.u64 %i, %i, %t;\n"                                                                      \
    "  mul.wide.u32 %n, %r4, %r2;\n"

#define KERNEL_REGISTERS                                                                           \
    "  .reg .pred %p<4>;\n"                                                                        \
    "  .reg .b32 %r<12>;\n"                                                                        \
    "  .reg .b64 %i, %n, %t, %a, %w, %first, %words, %count, %stamp, %wrong, %now, %end;\n"

#define KERNEL_PATTERN                                                                             \
    "  ld.param.u64 %words, [words];\n"                                                            \
    "  ld.param.u64 %count, [count];\n"                                                            \
    "  ld.param.u64 %stamp, [stamp];\n"                                                            \
    "  cvta.to.global.u64 %words, %words;\n"                                                       \
    "  mul.lo.s64 %stamp, %stamp, -7046029254386353131;\n"

/* One pass over the words of this thread, counting into %r5 those that are wrong. */
#define KERNEL_PASS(label)                                                                         \
    "  mov.u64 %i, %first;\n" label "_next:\n"                                                     \
    "  setp.ge.u64 %p1, %i, %count;\n"                                                             \
    "  @%p1 bra " label "_done;\n"                                                                 \
    "  shl.b64 %a, %i, 3;\n"                                                                       \
    "  add.u64 %a, %words, %a;\n"                                                                  \
    "  ld.volatile.global.u64 %w, [%a];\n"                                                         \
    "  add.u64 %t, %stamp, %i;\n"                                                                  \
    "  setp.ne.u64 %p2, %w, %t;\n"                                                                 \
    "  selp.u32 %r6, 1, 0, %p2;\n"                                                                 \
    "  add.u32 %r5, %r5, %r6;\n"                                                                   \
    "  add.u64 %i, %i, %n;\n"                                                                      \
    "  bra " label "_next;\n" label "_done:\n"

/* Adds %r5 to the counter. */
#define KERNEL_TELL(label)                                                                         \
    "  setp.eq.u32 %p3, %r5, 0;\n"                                                                 \
    "  @%p3 bra " label "_end;\n"                                                                  \
    "  ld.param.u64 %wrong, [wrong];\n"                                                            \
    "  cvta.to.global.u64 %wrong, %wrong;\n"                                                       \
    "  red.global.add.u32 [%wrong], %r5;\n" label "_end:\n"                                        \
    "  ret;\n"

static const char pattern_kernels[] =
    ".version 6.0\n"
    ".target sm_60\n"
    ".address_size 64\n"

    /* words, count, stamp: writes the pattern */
    ".visible .entry cuframes_test_fill(.param .u64 words, .param .u64 count, .param .u64 stamp)\n"
    "{\n" KERNEL_REGISTERS KERNEL_PATTERN KERNEL_INDEX "fill_next:\n"
    "  setp.ge.u64 %p1, %i, %count;\n"
    "  @%p1 bra fill_end;\n"
    "  shl.b64 %a, %i, 3;\n"
    "  add.u64 %a, %words, %a;\n"
    "  add.u64 %w, %stamp, %i;\n"
    "  st.global.u64 [%a], %w;\n"
    "  add.u64 %i, %i, %n;\n"
    "  bra fill_next;\n"
    "fill_end:\n"
    "  ret;\n"
    "}\n"

    /* words, count, stamp, wrong: adds to *wrong how many words do not have the pattern */
    ".visible .entry cuframes_test_verify(.param .u64 words, .param .u64 count, .param .u64 "
    "stamp,\n"
    "                                     .param .u64 wrong)\n"
    "{\n" KERNEL_REGISTERS KERNEL_PATTERN KERNEL_INDEX "  mov.u64 %first, %i;\n"
    "  mov.u32 %r5, 0;\n" KERNEL_PASS("verify") KERNEL_TELL(
        "verify") "}\n"

                  /* words, count, stamp, wrong, nanoseconds: the same again and again, for so long */
                  ".visible .entry cuframes_test_linger(.param .u64 words, .param .u64 count, "
                  ".param .u64 stamp,\n"
                  "                                     .param .u64 wrong, .param .u64 "
                  "nanoseconds)\n"
                  "{\n" KERNEL_REGISTERS KERNEL_PATTERN KERNEL_INDEX "  mov.u64 %first, %i;\n"
                  "  mov.u32 %r5, 0;\n"
                  "  ld.param.u64 %t, [nanoseconds];\n"
                  "  mov.u64 %now, %globaltimer;\n"
                  "  add.u64 %end, %now, %t;\n"
                  "linger_again:\n" KERNEL_PASS(
                      "linger") "  mov.u64 %now, %globaltimer;\n"
                                "  setp.lt.u64 %p1, %now, %end;\n"
                                "  @%p1 bra linger_again;\n" KERNEL_TELL(
                                    "linger") "}\n"

                                              /* words, count, value: writes the value into the last word */
                                              ".visible .entry cuframes_test_poke(.param .u64 "
                                              "words, .param .u64 count, .param .u64 value)\n"
                                              "{\n" KERNEL_REGISTERS
                                              "  ld.param.u64 %words, [words];\n"
                                              "  ld.param.u64 %count, [count];\n"
                                              "  ld.param.u64 %w, [value];\n"
                                              "  cvta.to.global.u64 %words, %words;\n"
                                              "  sub.u64 %count, %count, 1;\n"
                                              "  shl.b64 %a, %count, 3;\n"
                                              "  add.u64 %a, %words, %a;\n"
                                              "  mov.u32 %r1, %tid.x;\n"
                                              "  setp.ne.u32 %p1, %r1, 0;\n"
                                              "  @%p1 bra poke_end;\n"
                                              "  st.global.u64 [%a], %w;\n"
                                              "poke_end:\n"
                                              "  ret;\n"
                                              "}\n";

/* texture, bytes, pitch, width, height, wrong: adds to *wrong how many texels of a texture of 8-bit
 * whole numbers are not the bytes of the memory. One thread for each texel: x and y of the grid. */
static const char texture_kernels[] =
    ".version 6.0\n"
    ".target sm_60\n"
    ".address_size 64\n"
    ".visible .entry cuframes_test_sample(.param .u64 texture, .param .u64 bytes,\n"
    "                                     .param .u64 pitch, .param .u64 width,\n"
    "                                     .param .u64 height, .param .u64 wrong)\n"
    "{\n"
    "  .reg .pred %p<4>;\n"
    "  .reg .b32 %r<16>;\n"
    "  .reg .b64 %texture, %bytes, %pitch, %size, %x, %y, %wrong;\n"
    "  mov.u32 %r1, %ctaid.x;\n"
    "  mov.u32 %r2, %ntid.x;\n"
    "  mov.u32 %r3, %tid.x;\n"
    "  mad.lo.u32 %r1, %r1, %r2, %r3;\n"
    "  mov.u32 %r2, %ctaid.y;\n"
    "  cvt.u64.u32 %x, %r1;\n"
    "  cvt.u64.u32 %y, %r2;\n"
    "  ld.param.u64 %size, [width];\n"
    "  setp.ge.u64 %p1, %x, %size;\n"
    "  @%p1 bra sample_end;\n"
    "  ld.param.u64 %size, [height];\n"
    "  setp.ge.u64 %p1, %y, %size;\n"
    "  @%p1 bra sample_end;\n"
    "  ld.param.u64 %texture, [texture];\n"
    "  tex.2d.v4.u32.s32 {%r4, %r5, %r6, %r7}, [%texture, {%r1, %r2}];\n"
    "  ld.param.u64 %bytes, [bytes];\n"
    "  cvta.to.global.u64 %bytes, %bytes;\n"
    "  ld.param.u64 %pitch, [pitch];\n"
    "  mad.lo.u64 %bytes, %y, %pitch, %bytes;\n"
    "  add.u64 %bytes, %bytes, %x;\n"
    "  ld.global.u8 %r8, [%bytes];\n"
    "  and.b32 %r4, %r4, 255;\n"
    "  setp.eq.u32 %p2, %r4, %r8;\n"
    "  @%p2 bra sample_end;\n"
    "  ld.param.u64 %wrong, [wrong];\n"
    "  cvta.to.global.u64 %wrong, %wrong;\n"
    "  red.global.add.u32 [%wrong], 1;\n"
    "sample_end:\n"
    "  ret;\n"
    "}\n";
