/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file cuframes.h
 * Everything. Decode once, share everywhere.
 */
#ifndef CUFRAMES_CUFRAMES_H
#define CUFRAMES_CUFRAMES_H

#include <cuframes/async.h>
#include <cuframes/base.h>
#include <cuframes/discovery.h>
#include <cuframes/error.h>
#include <cuframes/format.h>
#include <cuframes/frame.h>
#include <cuframes/gpu.h>
#include <cuframes/group.h>
#include <cuframes/interrupt.h>
#include <cuframes/log.h>
#include <cuframes/packet.h>
#include <cuframes/publisher.h>
#include <cuframes/stats.h>
#include <cuframes/stream.h>
#include <cuframes/subscriber.h>
#include <cuframes/version.h>

#endif
