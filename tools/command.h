/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The subcommands. Each takes its own word as argv[0] and returns the exit code: 0 done, 1 failed,
 * 2 wrong usage.
 */
#pragma once

#include <stdbool.h>

int command_bench(int argc, char **argv);
int command_cat(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_group(int argc, char **argv);
int command_info(int argc, char **argv);
int command_ls(int argc, char **argv);
int command_packets(int argc, char **argv);
int command_record(int argc, char **argv);
int command_snapshot(int argc, char **argv);
int command_sub(int argc, char **argv);
int command_sub_count(int argc, char **argv);
int command_test_source(int argc, char **argv);
int command_top(int argc, char **argv);
int command_unixfd(int argc, char **argv);
/* cuframes ingest, for an input that is_unixfd_input(). */
int command_unixfd_ingest(int argc, char **argv);
bool is_unixfd_input(int argc, char **argv);
int command_view(int argc, char **argv);
