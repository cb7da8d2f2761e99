# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev gpu-test [--quick]: builds with what is there, runs the GPU suite on this machine's GPU, and
# prints a table; the table, the results and what was printed are in build/logs, and below $OUT if
# that is set.
quick=()
case "$#,${1-}" in
0,) ;;
1,--quick) quick=(--quick) ;;
*) die "gpu-test takes no argument but --quick" ;;
esac
# shellcheck source=scripts/dev/gpu.sh
. "$root/scripts/dev/gpu.sh"
use_callers_path
build_gpu gpu-programs
say
python3 "$root/tests/gpu/run.py" ${quick[@]+"${quick[@]}"} --build "$gpu_build" --logs "$logs" \
    ${OUT:+--out "$OUT"} </dev/null
