#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Checks the model of the barrier of groups; checks.sh says how.
#
# Usage: run-barrier.sh. Needs spin, a C compiler and up to 1 GB of memory.
# Exit status: 0 all passed, 1 some failed, 77 spin or a compiler is missing.

# shellcheck source=checks.sh
. "$(dirname "$0")/checks.sh"

check 'nobody sleeps for ever, without the periodic look' barrier
check 'any one rank dies' barrier -DLOOK -DDEATHS=1
check 'any two ranks die' barrier -DLOOK -DDEATHS=2 -DBARRIERS=1

mutant 'the count is not reset in B3' barrier -DNO_RESET
mutant 'B3 comes after B4' barrier -DRESET_LATE
mutant 'B4 is relaxed' barrier -DRELAXED_B4
mutant 'the generation advances before all have arrived' barrier -DEARLY_GENERATION
mutant 'the fence B5 is left out' barrier -DNO_FENCE_B5
mutant 'the fence B6 is left out' barrier -DNO_FENCE_B6
mutant 'the futex does not compare in B8' barrier -DNO_VALUE_CHECK
mutant 'the fence B5 is left out, with the periodic look' barrier -DLOOK -DNO_FENCE_B5
mutant 'the fence B6 is left out, with the periodic look' barrier -DLOOK -DNO_FENCE_B6
mutant 'the group is looked at after the barrier' barrier -DGENERATION_FIRST
mutant 'a rank dies and the others never look by themselves' barrier -DDEATHS=1

finish
