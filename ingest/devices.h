/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Makes the formats of libavdevice (v4l2, lavfi, ...) known, where it was there at build time. */
void devices_register(void);
