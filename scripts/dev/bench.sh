# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev bench [--quick]: measures, and writes docs/benchmarks.md with its plots and figures. With
# --quick it takes few samples and writes into build/bench-quick instead.
quick=()
docs=$root/docs
case "$#,${1-}" in
0,) ;;
1,--quick)
    quick=(--quick)
    docs=$root/build/bench-quick
    ;;
*) die "bench takes no argument but --quick" ;;
esac
need bench
build_in build-bench "with optimisation" --buildtype=release -Dexamples=false -Dman=disabled
[ "$(cut -d' ' -f1 /proc/loadavg | cut -d. -f1)" -lt 1 ] ||
    say "This machine is doing other work (load $(cut -d' ' -f1 /proc/loadavg)): the figures will show it."
step "Measuring" bench 900 python3 "$root/tests/bench/run.py" "${quick[@]}" \
    --build "$root/build-bench" --out "$root/build/bench.json"
step "Writing the page" bench-report 60 python3 "$root/tests/bench/report.py" \
    "$root/build/bench.json" "$docs"
say
sed -n '/target, at most/,/^$/p' "$docs/benchmarks.md"
say "All of it is in ${docs#"$root"/}/benchmarks.md."
