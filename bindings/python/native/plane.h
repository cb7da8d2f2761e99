/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plane of a picture as a Python object.
 */
#pragma once

#include "owner.h"

/* Plane `index` of the owner, which it keeps. NULL = raised. */
PyObject *pycf_plane_new(struct pycf_owner *owner, int32_t index);
