/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory that control groups leave to this process. A container's limit is one of them.
 */
#pragma once

#include <stdint.h>

/*
 * Bytes that can still be charged to the control groups of the process that `membership`
 * (/proc/self/cgroup) is about, below `root` (/sys/fs/cgroup), version 1 or 2; UINT64_MAX if there
 * is no limit or none that can be read. Page cache that is not in use counts as free.
 */
uint64_t cf_cgroup_memory_left(const char *membership, const char *root);
