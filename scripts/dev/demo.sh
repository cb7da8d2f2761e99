# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev demo [INPUT]: one camera, one decoder, three readers, one of them isolated. Everything runs
# on loopback and in a private runtime directory, and is gone at the end but for the snapshot.
[ $# -le 1 ] || die "demo takes at most one INPUT: an RTSP URL or a file"
input=${1:-}
seconds=12
key=demo
if [ -e "$input" ]; then
    input=$(realpath -- "$input")
fi

need demo
build_in build cuframes
use_build

work=$(mktemp -d /tmp/cuframes-demo-XXXXXX)
cleanup_dirs+=("$work")
run=$work/run
mkdir -m 700 "$run"
export CUFRAMES_RUNTIME_DIR=$run
snapshot=$root/build/demo.png
rm -f -- "$snapshot"

# give_up WHAT FILE: ends the demonstration with what a process said.
give_up() {
    printf 'dev: %s:\n' "$1" >&2
    tail -n 20 "$2" >&2
    exit 1
}

# wait_until SECONDS PID CONDITION...: until CONDITION holds; fails when PID or the time ends.
wait_until() {
    local end=$((SECONDS + $1)) pid=$2
    shift 2
    until "$@"; do
        if [ "$SECONDS" -ge "$end" ] || ! kill -0 "$pid" 2>/dev/null; then
            return 1
        fi
        sleep 0.1
    done
}

# --- the camera ---------------------------------------------------------------------------------
camera_says() {
    grep -q "^$1" "$work/camera.out"
}

start_camera() {
    mkfifo "$work/camera.in"
    /usr/bin/python3 "$root/tests/harness/rtsp_server.py" --clock --pattern ball --control \
        <"$work/camera.in" >"$work/camera.out" 2>"$work/camera.err" &
    camera=$!
    remember_process "$camera"
    exec {camera_in}>"$work/camera.in"
    wait_until 20 "$camera" camera_says READY || give_up "the RTSP camera did not start" "$work/camera.err"
    input=$(sed -n 's/^READY //p' "$work/camera.out")
}

camera=
ingest_options=()
if [ -z "$input" ]; then
    start_camera
    say "camera     $input (H.264 1280x720 at 25 fps)"
elif [ -f "$input" ]; then
    # A file goes at its own speed and starts again, like a camera that never ends.
    ingest_options+=(--realtime --loop)
fi

# --- the ingester -------------------------------------------------------------------------------
# The URL goes by the environment: it may hold a password, and a command line is for all to see.
DEMO_INPUT=$input cuframes ingest --url-env DEMO_INPUT --key "$key" ${ingest_options[@]+"${ingest_options[@]}"} \
    >"$logs/demo-ingest.log" 2>&1 </dev/null &
ingest=$!
remember_process "$ingest"
channel_has_frames() {
    cuframes info "$key" --json >"$work/info.json" 2>/dev/null &&
        python3 -c 'import json, sys; sys.exit(json.load(open(sys.argv[1]))["published"] < 1)' "$work/info.json"
}
wait_until 30 "$ingest" channel_has_frames ||
    give_up "cuframes ingest gave no picture (all it said is in build/logs/demo-ingest.log)" "$logs/demo-ingest.log"
say "ingest     $(sed -n 's/.*\(reading .*\)/\1/p' "$logs/demo-ingest.log" | head -1)"

# --- the readers --------------------------------------------------------------------------------
reader_options=(--mode order --hold-ms 10 --json --seconds "$seconds")
namespaces=(pid ipc net mnt uts)

# Runs as the first process of its namespaces: sees its own empty /dev/shm, its own processes, and
# of the others' world the runtime directory, which is bound to /mnt.
isolated='
set -e
mount --bind "$1" /mnt
mount -t tmpfs none /dev/shm
mount -t proc proc /proc
for name in pid ipc net mnt uts; do readlink /proc/self/ns/$name; done >"$2/isolated.ns"
export CUFRAMES_RUNTIME_DIR=/mnt
directory=$2
shift 2
exec cuframes sub "$@" --checksum "$directory/isolated.sums" >"$directory/isolated.json" 2>"$directory/isolated.err"
'

# The way to make namespaces that works here, as words before a command.
find_isolation() {
    local flags=(--pid --fork --kill-child --ipc --net --mount --uts)
    isolation=(unshare "${flags[@]}")
    [ "$(id -u)" -eq 0 ] || isolation=(unshare --user --map-root-user "${flags[@]}")
    "${isolation[@]}" sh -c 'mount -t tmpfs none /dev/shm && mount -t proc proc /proc' 2>"$work/isolation.err"
}

start_reader() {
    cuframes sub "$key" --name "$1" "${reader_options[@]}" --checksum "$work/$1.sums" \
        >"$work/$1.json" 2>"$work/$1.err" </dev/null &
    readers+=($!)
    remember_process $!
}

readers=()
names=(mosaic recorder isolated)
start_reader mosaic
start_reader recorder
if find_isolation; then
    "${isolation[@]}" sh -c "$isolated" sh "$run" "$work" "$key" --name isolated "${reader_options[@]}" \
        2>"$work/isolated.err" </dev/null &
    readers+=($!)
    remember_process $!
    say "readers    mosaic, recorder; isolated, in namespaces of its own (${namespaces[*]})"
else
    say "readers    mosaic, recorder; isolated cannot have namespaces here: $(tail -n 1 "$work/isolation.err")"
    start_reader isolated
fi
for name in "${namespaces[@]}"; do readlink "/proc/self/ns/$name"; done >"$work/own.ns"

all_attached() {
    cuframes info "$key" --json >"$work/info.json" 2>/dev/null &&
        python3 -c 'import json, sys; sys.exit(len(json.load(open(sys.argv[1]))["subscribers"]) < 3)' "$work/info.json"
}
wait_until 10 "$ingest" all_attached || give_up "not all readers attached" "$work/isolated.err"
start=$SECONDS

# --- the live part ------------------------------------------------------------------------------
cuframes snapshot "$key" "$snapshot" || exit 1
say "snapshot   build/demo.png, $(stat -c %s "$snapshot") bytes"
say
if [ -t 1 ]; then
    cuframes top --count 8
else
    cuframes top --count 2 --interval 3
fi
# What only the living can tell, while all of them still read.
wait_until $((seconds - (SECONDS - start) - 2)) "$ingest" false || true
cuframes info "$key" --json >"$work/info.json" || exit 1
if [ -n "$camera" ]; then
    echo clients >&"$camera_in"
    wait_until 5 "$camera" camera_says CLIENTS || give_up "the camera does not answer" "$work/camera.err"
fi
python3 "$root/scripts/dev/demo_processes.py" "$input" "$$" >"$work/processes.json"

for i in "${!readers[@]}"; do
    wait "${readers[i]}" || give_up "reader ${names[i]} failed" "$work/${names[i]}.err"
done
end_process "$ingest"
say
python3 "$root/scripts/dev/demo_summary.py" "$work" "${names[@]}"
