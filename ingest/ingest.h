/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ingester as one call: opens a camera, a file or a device, decodes it once and publishes it
 * as a channel. It takes the process over while it runs: the handlers of SIGINT and SIGTERM, the
 * log callbacks of the library and of libav*, and standard error.
 */
#pragma once

/*
 * Runs the ingester; argv[1] is its first option. `progname` is how messages call the command:
 * "cuframes ingest", or "cuframes-rtsp-source" for the form that older scripts know (the input is
 * given with --rtsp). Returns the exit code: 0 done, 1 failed, 2 wrong usage.
 *
 * argv must be the process's own: the bytes of an argument that holds a password are overwritten,
 * so that they do not stay in the process list.
 */
int ingest_main(int argc, char **argv, const char *progname);
