# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev fuzz [SECONDS]: each fuzz target for so long (60 s), then what they reach.
# ./dev fuzz fold: takes what they have found so far into tests/fuzz/corpus.
if [ "${1:-}" = fold ]; then
    exec "$root/tests/fuzz/fold"
fi
seconds=${1:-60}
case $seconds in
*[!0-9]* | "" | 0) die "fuzz takes a number of seconds, or the word fold" ;;
esac
need test
status=0
run_logged fuzz $((seconds * 20 + 600)) "$root/tests/fuzz/run" "$seconds" || status=$?
cat "$logs/fuzz.log"
[ "$status" -eq 0 ] || exit "$status"
run_logged fuzz-coverage 900 "$root/tests/fuzz/coverage" || status=$?
cat "$logs/fuzz-coverage.log"
exit "$status"
