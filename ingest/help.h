/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Prints the usage of the form that `progname` names to standard output. */
void help_print(const char *progname);
