# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev gpu-bench [--quick]: measures channels in this machine's GPU memory; the figures and a page
# are in build/logs, and below $OUT if that is set.
quick=()
case "$#,${1-}" in
0,) ;;
1,--quick) quick=(--quick) ;;
*) die "gpu-bench takes no argument but --quick" ;;
esac
# shellcheck source=scripts/dev/gpu.sh
. "$root/scripts/dev/gpu.sh"
use_callers_path
build_gpu gpu-bench-programs
say
python3 "$root/tests/gpu/bench.py" ${quick[@]+"${quick[@]}"} --build "$gpu_build" --logs "$logs" \
    ${OUT:+--out "$OUT"} </dev/null
