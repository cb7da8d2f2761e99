#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Checks the models of the frame protocol; checks.sh says how.
#
# Usage: run-ring.sh [GROUP…], a group being drop, wait or wakeup; all of them by default.
# Needs spin, a C compiler and up to 1 GB of memory.
# Exit status: 0 all passed, 1 some failed, 77 spin or a compiler is missing.

# shellcheck source=checks.sh disable=SC2086 # $ring is several words
. "$(dirname "$0")/checks.sh"

drop() {
    ring="frame_ring -DDEATHS=0"
    check 'drop policy: holds protect, gaps are reported' $ring -DLAST=5
    check 'drop policy: any one process dies; only the publisher delays a subscriber' \
        frame_ring -DLAST=4 -DPROGRESS
    check 'drop policy: from the first frame on' $ring -DFIRST=0 -DLAST=4
    check 'drop policy: an acquire is bounded' $ring -DLAST=4 -DCOUNT_STEPS
    check 'drop policy: all slots of dead subscribers are free' \
        frame_ring -DFIRST=2 -DLAST=5 -DPUBLISHER_LIVES -DHOARD -DALONE

    mutant 'W1 is left out' $ring -DNO_INVALIDATE
    mutant 'the fence W2 is left out' $ring -DNO_FENCE_W2
    mutant 'the second look W3 is left out' $ring -DNO_SECOND_LOOK
    mutant 'W5 is relaxed' $ring -DRELAXED_W5
    mutant 'W6 is relaxed' $ring -DLAST=4 -DPROGRESS -DRELAXED_W6
    mutant 'the newest frame may be reclaimed' $ring -DPROGRESS -DRECLAIM_NEWEST
    mutant 'the publisher waits for a slot' $ring -DCOUNT_STEPS -DBUSY_WAIT
    mutant 'holds of detached subscribers count' \
        frame_ring -DFIRST=2 -DLAST=5 -DPUBLISHER_LIVES -DHOARD -DALONE -DHEED_DETACHED
    mutant 'the fence R3 is left out' $ring -DNO_FENCE_R3
    mutant 'the recheck R4 is left out' $ring -DNO_RECHECK
    mutant 'R6 comes before the last read' $ring -DLET_GO_EARLY
}

wait_policy() {
    ring="frame_ring -DWAIT -DDEATHS=0 -DLAST=4"
    check 'wait policy: no frame lost, no sleep without end' $ring -DLAST=5
    check 'wait policy: two subscribers in order' $ring -DTWO_IN_ORDER
    check 'wait policy: any one process dies' frame_ring -DWAIT -DLAST=4
    check 'wait policy: one subscriber never lets go' $ring -DHOARD -DFIRST=1
    check 'wait policy: one subscriber lets go and idles' $ring -DSLOTS=2 -DIDLE
    check 'wait policy: eviction is noticed' $ring -DEVICT

    mutant 'unread frames may be reclaimed' $ring -DNO_UNREAD
    mutant 'the cursor R7 moves before the hold' $ring -DCURSOR_EARLY
    mutant 'the fence R8 is left out' $ring -DSLOTS=2 -DIDLE -DNO_FENCE_R8
    mutant 'the fence W9 is left out' $ring -DNO_FENCE_W9
    mutant 'the acks W10 are read after the look' $ring -DACK_AFTER_LOOK
    mutant 'the publisher sleeps for one subscriber only' $ring -DHOARD -DFIRST=1 -DONE_BLOCKER
    mutant 'a death does not wake the publisher' \
        frame_ring -DWAIT -DLAST=4 -DPUBLISHER_LIVES -DNO_WAKE_AT_DEATH
    mutant 'W11 comes after the first write to the slot' $ring -DEVICT -DREVOKE_LATE
}

wakeup() {
    check 'wake-up: no subscriber sleeps for ever' wakeup

    mutant 'the fence of wake() is left out' wakeup -DNO_FENCE_WAKE
    mutant 'W7 is relaxed' wakeup -DRELAXED_W7
    mutant 'the fence R9 is left out' wakeup -DNO_FENCE_R9
    mutant 'R9 does not look for news' wakeup -DNO_LOOK
    mutant 'R9 reads the futex word last' wakeup -DWORD_LATE
    mutant 'the descriptor is emptied after R9' wakeup -DCLEAR_LATE
}

[ $# -gt 0 ] || set -- drop wait wakeup
for group in "$@"; do
    case $group in
    drop) drop ;;
    wait) wait_policy ;;
    wakeup) wakeup ;;
    *)
        echo "usage: $0 [drop] [wait] [wakeup]" >&2
        exit 2
        ;;
    esac
done
finish
