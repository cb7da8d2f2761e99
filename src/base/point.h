/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Named points at which the crash tests (tests/crash) stop or kill a process. They are between two
 * steps that others can see. In the library that is installed they are nothing; the crash tests
 * compile it once more with CF_POINTS and bring cf_point() with them.
 */
#pragma once

#ifdef CF_POINTS
void cf_point(const char *name);
#define CF_POINT(name) cf_point(name)
#else
#define CF_POINT(name) ((void)0)
#endif
