/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a build without SDL2 has in place of the window.
 */
#include "command.h"
#include "common/report.h"

int command_view(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return report_failed("this build has no SDL2 and so no window; install libsdl2-dev and build "
                         "again, or use: cuframes cat KEY | ffplay -f nut -");
}
