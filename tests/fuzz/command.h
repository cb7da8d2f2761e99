/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command lines of the subcommands, parsed and no more: nothing is started.
 */
#pragma once

/* As a subcommand parses its own. 0 or more is its exit code; less: it would begin to work. */
typedef int parse_command_t(int argc, char **argv);

parse_command_t parse_bench, parse_cat, parse_doctor, parse_group, parse_info, parse_ingest,
    parse_ls, parse_packets, parse_record, parse_snapshot, parse_sub, parse_sub_count,
    parse_test_source, parse_top, parse_unixfd, parse_unixfd_ingest, parse_view;

/* What --help is made of; the ingester has none. */
extern const struct usage *const usage_bench,
    *const usage_cat, *const usage_doctor,
                          *const usage_group,
                              *const usage_info,
                                  *const usage_ls,
                                      *const usage_packets,
                                          *const usage_record,
                                              *const usage_snapshot,
                                                  *const usage_sub,
                                                      *const usage_sub_count,
                                                          *const usage_test_source,
                                                              *const usage_top,
                                                                  *const usage_unixfd,
                                                                      *const usage_unixfd_ingest,
                                                                          *const usage_view;
