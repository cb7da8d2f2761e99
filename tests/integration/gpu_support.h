/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of channels in GPU memory share: the stand-in's faults, a program that uses CUDA, and
 * frames whose bytes follow from their time stamp. Device addresses are not for the processor, so
 * contents go to and from the GPU by the driver's copies.
 */
#pragma once

#include "support.h"

#include "cuda/device.h"

#define SIZE ((size_t)64 * 48)

#define CHECK_CU(call) CHECK_EQ(call, CF_CU_SUCCESS)

/* A function of the stand-in; NULL with a real driver, or before one is loaded. */
void *standin_function(const char *name);
/* The same; skips the test with a real driver. */
void *standin(const char *name);
/* Faults of tests/standin/control.h. */
void delay_streams(unsigned microseconds);
void fail_call(const char *call, unsigned nth, int result);
unsigned calls(const char *call);
/* What there is in the driver; a real one does not tell, and has nothing. */
unsigned objects(void);
void need_two_gpus(void);

const struct cf_driver *driver(void);
cf_CUcontext enter_primary(int device);
void leave_primary(int device);
cf_CUstream make_stream(void);
/* Keeps a stream of the current context busy for about so long: with slow operations of the stand-in,
 * or with large copies on a real GPU. Until full_speed() the stand-in stays slow. */
void slow_down(cf_CUstream stream, unsigned milliseconds);
void full_speed(void);

/* The small channel "cam", in GPU memory. */
cuframes_publisher_config_t gpu_config(void);
cuframes_publisher_t *make_gpu_publisher(void);
/* Fills a slot in the order of the stream and publishes it behind that work; gives its number. */
uint64_t publish_on(cuframes_publisher_t *publisher, cf_CUstream stream, int64_t stamp);
/* Fills a slot, waits, and publishes. */
uint64_t publish_stamp(cuframes_publisher_t *publisher, int64_t stamp);

cuframes_subscriber_t *make_gpu_reader(int mode);
void refuse_reader(const cuframes_subscriber_config_t *config, int error, const char *words);
/* The next frame, which must come, with its bytes checked. */
cuframes_frame_t *take(cuframes_subscriber_t *reader);
void check_frame(const cuframes_frame_t *frame);
