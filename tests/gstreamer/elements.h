/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of the elements in GStreamer's harness share.
 */
#pragma once

#include <cuframes/cuframes.h>
#include <gst/check/gstharness.h>

#include "harness/harness.h"

/* What the library of GStreamer and GLib keep for good is there before a test begins. */
#define ELEMENT_TEST(id) TEST(id, .prepare = prepare)

#define CAPS  "video/x-raw,format=NV12,width=64,height=48,framerate=30/1"
#define WIDTH 64
#define SIZE  (64 * 48 * 3 / 2)

void prepare(void);

/* A sink of the channel "cam" that gets pictures of CAPS, playing. */
GstHarness *make_sink(void);
/* A reader of it in order. */
cuframes_subscriber_t *make_reader(void);
/* A picture of memory that is no slot, of bytes `value`. */
GstBuffer *plain_buffer(uint8_t value);
/* The pool that the sink offers, with 16 rows and columns of padding as a decoder asks for. */
GstBufferPool *take_pool(GstHarness *h);
/* One of an element's statistics. */
guint64 stat_of(GstElement *element, const char *name);
/* Each of the fields of `expected` is among an element's statistics and says the same. */
void check_stats(GstElement *element, const char *expected);
