# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev check
[ $# -eq 0 ] || die "check takes no argument"
need check
build_in build cuframes

passed=0
failed=0

# check TITLE LOG CMD...
check() {
    local title=$1 log=$2 status=0
    shift 2
    printf '%-46s' "$title"
    run_logged "$log" 1500 "$@" || status=$?
    if [ "$status" -eq 0 ]; then
        printf ' ok\n'
        passed=$((passed + 1))
    else
        printf ' failed\n'
        tail -n 40 "$logs/$log.log"
        failed=$((failed + 1))
    fi
}

tool() {
    command -v "$1-14" || command -v "$1"
}

format() {
    git -C "$root" ls-files '*.c' '*.h' '*.hpp' '*.cpp' | (cd "$root" && xargs "$(tool clang-format)" --dry-run -Werror)
}

tidy() {
    (cd "$root" && git ls-files 'src/*.c' 'tools/*.c' 'ingest/*.c' |
        xargs -P "$jobs" -n 8 "$(tool clang-tidy)" --quiet -p build)
}

export -f format tidy tool
export root jobs
check "Format" check-format bash -c format
check "Static analysis (clang-tidy)" check-tidy bash -c tidy
check "Include edges" check-include-edges "$root/scripts/check/include-edges"
check "File and function sizes, licences" check-file-rules "$root/scripts/check/file-rules"
check "Exported symbols" check-exported-symbols "$root/scripts/check/exported-symbols" \
    "$root/build/src/libcuframes.so.0" "$root/tests/abi/symbols.txt"
check "Headers alone, as C11 and C++17" check-headers-alone "$root/scripts/check/headers-alone" \
    "$root/include"
say "checks: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
