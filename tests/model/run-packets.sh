#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Checks the model of the packet ring; checks.sh says how.
# Exit status: 0 all passed, 1 some failed, 77 spin or a compiler is missing.

# shellcheck source=checks.sh disable=SC2086 # $ring is several words
. "$(dirname "$0")/checks.sh"

ring="packet_ring -DCOUNT"
check 'packets: the index wraps first, any one process dies' $ring -DENTRIES=2 -DLINES=8 -DLAST=4
check 'packets: the bytes wrap first, any one process dies' $ring -DENTRIES=4 -DLINES=4 -DLAST=4
check 'packets: either wraps first' $ring -DDEATHS=0

mutant 'P1 comes after the overwriting' packet_ring -DOLDEST_LATE -DDEATHS=0
mutant 'P1 heeds the index alone' packet_ring -DENTRIES=4 -DLINES=4 -DINDEX_ONLY -DDEATHS=0
mutant 'P1 heeds the bytes alone' packet_ring -DENTRIES=2 -DLINES=8 -DBYTES_ONLY -DDEATHS=0
mutant 'the fence P2 is left out' packet_ring -DNO_FENCE_P2 -DDEATHS=0
mutant 'P5 is relaxed' packet_ring -DRELAXED_P5 -DDEATHS=0
mutant 'the fence of wake() is left out' packet_ring -DNO_FENCE_P6 -DDEATHS=0
mutant 'the entry is read before Q1' packet_ring -DENTRY_FIRST -DDEATHS=0
mutant 'Q5 comes before what it checks' packet_ring -DCHECK_FIRST -DDEATHS=0
mutant 'Q5 is left out for the entry' packet_ring -DNO_CHECK_OF_ENTRY -DDEATHS=0
mutant 'Q5 is left out for the bytes' packet_ring -DNO_CHECK_OF_BYTES -DDEATHS=0
mutant 'only the entry is checked although the bytes wrap first' \
    packet_ring -DENTRIES=4 -DLINES=4 -DNO_CHECK_OF_BYTES -DDEATHS=0
mutant 'the fence Q6 is left out' packet_ring -DNO_FENCE_Q6 -DDEATHS=0
mutant 'Q6 does not look for news' packet_ring -DNO_LOOK -DDEATHS=0
finish
