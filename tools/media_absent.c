/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command of the Python package, which is without cuframes-media.
 */
#include "common/report.h"
#include "media.h"

int media_run(int argc, char **argv)
{
    (void)argc, (void)argv;
    return report_failed("this is the command of the Python package, which does not decode or show "
                         "pictures itself: install cuframes, whose command does (./dev install in "
                         "its source tree)");
}
