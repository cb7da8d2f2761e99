/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Capture devices, through libavdevice.
 */
#include "devices.h"

#include <libavdevice/avdevice.h>

void devices_register(void)
{
    avdevice_register_all();
}
