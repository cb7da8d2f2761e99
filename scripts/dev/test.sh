# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev test
[ $# -eq 0 ] || die "test takes no argument"
need test

passed=0
failed=0
skipped=0

count_of() {
    sed -n "s/^$1: *\([0-9]*\) *$/\1/p" "$2" | tail -n 1
}

# run_tests TITLE BUILD MULTIPLIER ARGUMENTS...: meson's tests of one build. Prints meson's own
# closing lines, and what failed tests printed.
run_tests() {
    local title=$1 build=$2 multiplier=$3 log status=0 start=$SECONDS
    shift 3
    log=$(basename "$build")-test
    say "$title:"
    run_logged "$log" 2400 meson test -C "$root/$build" --no-rebuild --print-errorlogs \
        --timeout-multiplier "$multiplier" "$@" || status=$?
    [ "$status" -eq 0 ] || tail -n 150 "$logs/$log.log"
    grep -E '^(Ok|Expected Fail|Fail|Unexpected Pass|Skipped|Timeout): ' "$logs/$log.log" || {
        tail -n 20 "$logs/$log.log"
        status=1
    }
    passed=$((passed + $(count_of Ok "$logs/$log.log" || echo 0)))
    failed=$((failed + $(count_of Fail "$logs/$log.log" || echo 0)))
    failed=$((failed + $(count_of Timeout "$logs/$log.log" || echo 0)))
    skipped=$((skipped + $(count_of Skipped "$logs/$log.log" || echo 0)))
    # meson fails for other reasons too: a build that is not there, a test that cannot start.
    [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
    say "($((SECONDS - start)) s)"
}

fuzz() {
    local status=0
    say "Fuzzers, ten seconds each:"
    run_logged fuzz 900 "$root/tests/fuzz/run" 10 || status=$?
    tail -n 6 "$logs/fuzz.log"
    case $status in
    0) passed=$((passed + 1)) ;;
    77) skipped=$((skipped + 1)) ;;
    *) failed=$((failed + 1)) ;;
    esac
}

# The sanitizers find what the tests alone do not see; the plain build is what users get, and has
# the tests that look at what is installed, at symbols and at the model.
build_in build "cuframes"
build_in build-asan "with address and undefined-behaviour checks" \
    -Db_sanitize=address,undefined -Db_lundef=false -Dman=disabled
build_in build-tsan "with thread checks" \
    -Db_sanitize=thread -Db_lundef=false -Dman=disabled -Dingest=disabled -Dview=disabled

export ASAN_OPTIONS=detect_stack_use_after_return=1:allocator_may_return_null=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
run_tests "Address and undefined-behaviour sanitizers" build-asan 3 \
    --no-suite model --no-suite install --no-suite bench --no-suite threads
run_tests "Thread sanitizer" build-tsan 3 --suite threads
run_tests "The model, what is installed, the ABI, the benchmark" build 2 \
    --suite model --suite install --suite bench --suite abi --suite compat
fuzz
say "cuframes: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
