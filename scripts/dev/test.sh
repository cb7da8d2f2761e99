# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev test: every test, in three builds, then the fuzzers. Ends with one line of totals.
[ $# -eq 0 ] || die "test takes no argument; single tests: meson test -C build NAME"
need test

passed=0 failed=0 skipped=0
started=$SECONDS

# The number behind a word of Meson's closing lines.
closing_number() {
    sed -n "s/^$1: *\([0-9][0-9]*\) *\$/\1/p" "$2" | tail -n 1
}

# add_totals PASSED FAILED SKIPPED
add_totals() {
    passed=$((passed + ${1:-0}))
    failed=$((failed + ${2:-0}))
    skipped=$((skipped + ${3:-0}))
}

# run_suites TITLE LOG SECONDS BUILD [OPTION...]: the tests of one build folder.
run_suites() {
    local title=$1 log=$2 limit=$3 build=$root/$4 status=0 file=$logs/$2.log start=$SECONDS bad word
    shift 4
    printf '\n%s\n' "$title"
    run_logged "$log" "$limit" meson test -C "$build" --no-rebuild --num-processes "$jobs" \
        --print-errorlogs "$@" || status=$?
    if [ -z "$(closing_number Ok "$file")" ]; then
        # Meson itself failed, or its time ran out: what it was about to say counts as one failure.
        show_log "$log"
        add_totals 0 1 0
        return
    fi
    sed -n '/^Ok: /,/^Timeout: /p' "$file"
    bad=0
    for word in Fail 'Unexpected Pass' Timeout; do
        bad=$((bad + $(closing_number "$word" "$file")))
    done
    add_totals $(($(closing_number Ok "$file") + $(closing_number 'Expected Fail' "$file"))) \
        "$bad" "$(closing_number Skipped "$file")"
    if [ "$bad" -gt 0 ] || [ "$status" -ne 0 ]; then
        [ "$bad" -gt 0 ] || add_totals 0 1 0
        grep -E '^ *[0-9]+/[0-9]+ .* (FAIL|TIMEOUT|ERROR|UNEXPECTEDPASS|INTERRUPT) ' "$file" | sort -u
        /usr/bin/python3 "$root/scripts/dev/failed_tests.py" "$build/meson-logs/testlog.json"
        say "All that they printed is in build/logs/$log.log"
    fi
    grep -E '^ *[0-9]+/[0-9]+ .* SKIP ' "$file" | sort -u || true
    say "($((SECONDS - start)) s)"
}

# run_program TITLE LOG SECONDS CMD...: a runner with an exit status: 0, 77 = skipped, or failed.
run_program() {
    local title=$1 log=$2 status=0 start=$SECONDS
    printf '\n%s\n' "$title"
    shift
    run_logged "$@" || status=$?
    case $status in
    0) add_totals 1 0 0 ;;
    77) add_totals 0 0 1 ;;
    *)
        add_totals 0 1 0
        show_log "$log"
        return
        ;;
    esac
    cat "$logs/$log.log"
    say "($((SECONDS - start)) s)"
}

# run_pytest TITLE LOG SECONDS CMD...: counts as pytest's closing line does, and shows that line.
run_pytest() {
    local title=$1 log=$2 status=0 closing start=$SECONDS
    printf '\n%s\n' "$title"
    shift
    run_logged "$@" || status=$?
    closing=$(sed -nE '/^[0-9]+ (passed|failed|skipped|error).* in [0-9.]+s/p' "$logs/$log.log" | tail -n 1)
    if [ "$status" -eq 77 ]; then
        add_totals 0 0 1
        cat "$logs/$log.log"
        return
    fi
    # Neither passed nor skipped as a whole without a closing line: that counts as one failure.
    add_totals "$(pytest_number passed)" \
        $(($(pytest_number failed) + $(pytest_number 'errors?'))) "$(pytest_number skipped)"
    if [ "$status" -ne 0 ]; then
        grep -qE '[0-9]+ (failed|error)' <<<"$closing" || add_totals 0 1 0
        show_log "$log"
    fi
    say "${closing:-pytest did not come to its end}"
    say "($((SECONDS - start)) s)"
}

# The number before a word of pytest's closing line, which run_pytest has in $closing.
pytest_number() {
    local number
    number=$(sed -nE "s/(.*[^0-9])?([0-9]+) $1\b.*/\2/p" <<<"$closing")
    printf '%s\n' "${number:-0}"
}

build_in build "as it is installed"
build_in build-asan "with the address sanitizer" -Db_sanitize=address,undefined -Dman=disabled
build_in build-tsan "with the thread sanitizer" -Db_sanitize=thread -Dman=disabled -Dexamples=false

export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:allocator_may_return_null=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
# Cameras and readers on loopback must not go through a proxy.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY

# FFmpeg with cuframes in it, which the suite "ffmpeg" tests; nothing is built again that is there.
for version in 5.1 7.1; do
    run_program "Debian's FFmpeg $version with cuframes in it" "ffmpeg-$version" 1500 \
        "$root/dev" ffmpeg "$version"
done

# Code under a sanitizer is slower by a factor of two to ten; its tests' limits are the others'.
run_suites "With the address and undefined-behaviour sanitizers" test-asan 900 build-asan \
    --timeout-multiplier 3 --no-suite model --no-suite load
run_suites "Concurrent tests, with the thread sanitizer" test-tsan 600 build-tsan \
    --timeout-multiplier 3 --suite threads
# Lines that tests want to be read also when they pass.
export CUFRAMES_TEST_REPORT=$logs/report.txt
rm -f "$CUFRAMES_TEST_REPORT"
run_suites "As installed" test 1200 build --no-suite ffmpeg-matrix
CUFRAMES_TEST_SECONDS=60 run_program \
    "Deaths at random, for a minute" soak 300 "$root/build/tests/crash/test_soak"
cat "$CUFRAMES_TEST_REPORT" 2>/dev/null || true
run_program "Fuzzers" fuzz 600 "$root/tests/fuzz/run" 5

say
say "$((SECONDS - started)) s in all"
say "cuframes: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
