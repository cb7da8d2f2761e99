#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Checks the model of the packet ring; checks.sh says how.
# Exit status: 0 all passed, 1 some failed, 77 spin or a compiler is missing.

# shellcheck source=checks.sh disable=SC2086 # $ring is several words
. "$(dirname "$0")/checks.sh"

ring="packet_ring -DCOUNT"
check 'packets: the index wraps first' $ring -DENTRIES=2 -DLINES=8
check 'packets: the bytes wrap first' $ring -DENTRIES=4 -DLINES=4
check 'packets: either wraps first, the writer dies' $ring -DLAST=4 -DDEATHS

mutant 'P1 comes after the overwriting' packet_ring -DOLDEST_LATE
mutant 'P1 heeds the index alone' packet_ring -DENTRIES=4 -DLINES=4 -DINDEX_ONLY
mutant 'P1 heeds the bytes alone' packet_ring -DENTRIES=2 -DLINES=8 -DBYTES_ONLY
mutant 'the fence P2 is left out' packet_ring -DNO_FENCE_P2
mutant 'P5 is relaxed' packet_ring -DRELAXED_P5
mutant 'the fence of wake() is left out' packet_ring -DNO_FENCE_P6
mutant 'the entry is read before Q1' packet_ring -DENTRY_FIRST
mutant 'Q5 comes before what it checks' packet_ring -DCHECK_FIRST
mutant 'Q5 is left out for the entry' packet_ring -DNO_CHECK_OF_ENTRY
mutant 'Q5 is left out for the bytes' packet_ring -DNO_CHECK_OF_BYTES
mutant 'only the entry is checked although the bytes wrap first' \
    packet_ring -DENTRIES=4 -DLINES=4 -DNO_CHECK_OF_BYTES
mutant 'the fence Q6 is left out' packet_ring -DNO_FENCE_Q6
mutant 'Q6 does not look for news' packet_ring -DNO_LOOK
finish
