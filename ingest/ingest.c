/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ingester as one call.
 */
#include "ingest.h"

#include <string.h>

#include "log.h"
#include "options.h"
#include "session.h"
#include "shutdown.h"

int ingest_main(int argc, char **argv, const char *progname)
{
    struct options options;
    int exit_code, err;

    if (options_parse(&options, argc, argv, progname, &exit_code)) {
        err = shutdown_install();
        if (err) {
            log_line(CUFRAMES_LOG_ERROR, "cannot take over signals: %s", strerror(-err));
            exit_code = 1;
        } else {
            exit_code = session_run(&options);
        }
    }
    options_fini(&options);
    return exit_code;
}
