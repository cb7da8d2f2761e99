# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
#
# For the scripts beside this file: checks models with spin, and checks that the checks can fail. For
# each property there are mutants, a model with one step left out or put in the wrong place, in which
# spin must find an error. All searches are exhaustive.
#
# Sourced. Leaves the shell in an empty directory that is removed at its end; exits with 77 if spin or
# a compiler is missing.

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

# search OPTIMIZATION MODEL FLAGS…: leaves spin's report in the file "report".
search() {
    optimization=$1
    model=$2
    shift 2
    rm -f pan pan.* report ./*.trail
    if ! spin "$@" -a "$here/$model.pml" >report 2>&1 ||
        ! $CC "$optimization" -w -DSAFETY -DCOLLAPSE -DNOBOUNDCHECK -DMEMLIM=1900 -o pan pan.c \
            >>report 2>&1; then
        cat report
        return 1
    fi
    ./pan -m200000 -w24 >report 2>&1
}

count() {
    if [ "$1" = pass ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    echo "$1: $2"
}

# A search is complete if it ended by itself, with every path followed to its end.
is_complete() {
    ! grep -q -e 'Search not completed' -e 'max search depth too small' report
}

# check WHAT MODEL FLAGS…
check() {
    what=$1
    shift
    search -O2 "$@"
    if grep -q 'errors: 0' report && is_complete; then
        count pass "$what ($(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' report) states)"
    else
        count fail "$what"
        grep -e '^pan:' -e 'errors:' -e 'not completed' report
    fi
}

# mutant WHAT MODEL FLAGS…: passes if spin finds an error.
mutant() {
    what=$1
    shift
    search -O1 "$@"
    if grep -q -e '^pan:.*assertion violated' -e '^pan:.*invalid end state' report; then
        count pass "an error is found if $what"
    else
        count fail "no error is found although $what"
        grep -e '^pan:' -e 'errors:' -e 'not completed' report
    fi
}

# Says how many passed; the exit status of the script.
finish() {
    echo "model: $passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
