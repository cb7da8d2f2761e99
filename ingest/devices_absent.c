/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A build without libavdevice: looking up its formats fails then, and says so.
 */
#include "devices.h"

void devices_register(void)
{
}
