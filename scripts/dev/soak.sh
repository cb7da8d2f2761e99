# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev soak [SECONDS]: kills subscribers and publishers at random, for a minute or as long as is said.
seconds=${1:-60}
case $seconds in
*[!0-9]* | "") die "soak takes a number of seconds" ;;
esac
need test
build_in build "as it is installed"

status=0
report=$logs/soak.txt
rm -f "$report"
say "killing for $seconds s"
CUFRAMES_TEST_REPORT=$report CUFRAMES_TEST_SECONDS=$seconds \
    run_logged soak $((seconds + 600)) "$root/build/tests/crash/test_soak" || status=$?
cat "$report" 2>/dev/null || true
[ "$status" -eq 0 ] || show_log soak
exit "$status"
