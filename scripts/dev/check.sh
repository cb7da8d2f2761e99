# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev check: everything that can be said about the source without running it.
[ $# -eq 0 ] || die "check takes no argument"
need check
build_in build cuframes
cd "$root"
bad=0

# check TITLE LOG SECONDS CMD...: goes on after a failure; 77 = cannot be checked here.
check() {
    local title=$1 log=$2 status=0 start=$SECONDS
    shift
    printf '%-46s' "$title"
    run_logged "$@" || status=$?
    case $status in
    0)
        printf ' done  %3d s\n' $((SECONDS - start))
        return
        ;;
    77) printf ' skipped: %s\n' "$(tail -n 1 "$logs/$log.log")" ;;
    *)
        printf ' failed\n'
        tail -n 60 "$logs/$log.log" >&2
        bad=1
        ;;
    esac
}

c_files() {
    python3 -c '
import sys
sys.path.insert(0, "scripts/check")
import sources
print("\n".join(map(str, sources.c_files(*sys.argv[1:]))))' "$@"
}

# Releases of clang-format and clang-tidy differ in what they want; 14 is Debian 12's.
for tool in clang-format clang-tidy; do
    command -v "$tool-14" >/dev/null || eval "missing_${tool#clang-}=yes"
done
no_tool() {
    echo "$1-14 is not in this Debian release"
    exit 77
}
export -f no_tool

c_files include src tools ingest examples tests integrations bindings >"$logs/format.files"
if [ -z "${missing_format:-}" ]; then
    check "Format" check-format 120 xargs -a "$logs/format.files" clang-format-14 --dry-run -Werror
else
    check "Format" check-format 10 bash -c 'no_tool clang-format'
fi
check "Include edges: the check itself" check-edges-self 60 scripts/check/include-edges --self-test
check "Include edges" check-edges 60 scripts/check/include-edges
check "Licence lines, lengths, unfinished work: itself" check-rules-self 60 scripts/check/file-rules --self-test
check "Licence lines, lengths, unfinished work" check-rules 60 scripts/check/file-rules
say "  $(tail -n 1 "$logs/check-rules.log")"
check "Headers alone, C11 and C++17" check-headers 120 scripts/check/headers-alone include
check "Exported symbols" check-symbols 60 scripts/check/exported-symbols build/src/libcuframes.so.0 tests/abi/symbols.txt
check "API reference: every function described" check-api-docs 120 ninja -C build api-docs
# Only what this build compiles has a command line in compile_commands.json.
python3 -c '
import json, os
root = os.getcwd()
paths = {os.path.relpath(os.path.join(e["directory"], e["file"]), root) for e in json.load(open("build/compile_commands.json"))}
print("\n".join(sorted(p for p in paths if p.endswith(".c") and p.startswith(("src/", "tools/", "ingest/", "examples/", "bindings/")))))' \
    >"$logs/tidy.files"
if [ -z "${missing_tidy:-}" ]; then
    check "Static analysis" check-tidy 900 xargs -a "$logs/tidy.files" -P "$jobs" -n 4 clang-tidy-14 -p build --quiet
else
    check "Static analysis" check-tidy 10 bash -c 'no_tool clang-tidy'
fi
exit "$bad"
