#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Checks the model of the barrier of groups with spin, and checks that the checks can fail: in each
# mutant, a model with one step left out or put in the wrong place, spin must find an error.
#
# Usage: run-barrier.sh. Needs spin, a C compiler and up to 1 GB of memory. All searches are
# exhaustive.
# Exit status: 0 all passed, 1 some failed, 77 spin or a compiler is missing.

here=$(cd "$(dirname "$0")" && pwd)
CC=${CC:-cc}
passed=0
failed=0

for tool in spin "${CC%% *}"; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "model: skipped, $tool is missing"
        exit 77
    fi
done

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1

# search FLAGS…: leaves spin's report in the file "report".
search() {
    rm -f pan pan.* report ./*.trail
    if ! spin "$@" -a "$here/barrier.pml" >report 2>&1 ||
        ! $CC -O2 -w -DSAFETY -DCOLLAPSE -DNOBOUNDCHECK -DMEMLIM=1900 -o pan pan.c \
            >>report 2>&1; then
        cat report
        return 1
    fi
    ./pan -m200000 -w22 >report 2>&1
}

count() {
    if [ "$1" = pass ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    echo "$1: $2"
}

# check WHAT FLAGS…
check() {
    what=$1
    shift
    search "$@"
    if grep -q 'errors: 0' report &&
        ! grep -q -e 'Search not completed' -e 'max search depth too small' report; then
        count pass "$what ($(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' report) states)"
    else
        count fail "$what"
        cat report
    fi
}

# mutant WHAT FLAGS…: passes if spin finds an error.
mutant() {
    what=$1
    shift
    search "$@"
    if grep -q -e '^pan:.*assertion violated' -e '^pan:.*invalid end state' report; then
        count pass "an error is found if $what"
    else
        count fail "no error is found although $what"
        cat report
    fi
}

check 'nobody sleeps for ever, without the periodic look'
check 'any one rank dies' -DLOOK -DDEATHS=1
check 'any two ranks die' -DLOOK -DDEATHS=2 -DBARRIERS=1

mutant 'the count is not reset in B3' -DNO_RESET
mutant 'B3 comes after B4' -DRESET_LATE
mutant 'B4 is relaxed' -DRELAXED_B4
mutant 'the generation advances before all have arrived' -DEARLY_GENERATION
mutant 'the fence B5 is left out' -DNO_FENCE_B5
mutant 'the fence B6 is left out' -DNO_FENCE_B6
mutant 'the futex does not compare in B8' -DNO_VALUE_CHECK
mutant 'the fence B5 is left out, with the periodic look' -DLOOK -DNO_FENCE_B5
mutant 'the fence B6 is left out, with the periodic look' -DLOOK -DNO_FENCE_B6
mutant 'the group is looked at after the barrier' -DGENERATION_FIRST
mutant 'a rank dies and the others never look by themselves' -DDEATHS=1

echo "model: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
