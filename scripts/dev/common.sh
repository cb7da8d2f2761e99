# SPDX-License-Identifier: LGPL-2.1-or-later
# What the commands of ./dev share: packages, steps with logs, builds, and an end that leaves
# nothing running. Sourced by ./dev with $root and $command set.

# Debian's own tools first: the packages that are asked for are those that are used.
caller_path=$PATH
PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH
export PATH LC_ALL=C.UTF-8
logs=$root/build/logs
mkdir -p "$logs"
jobs=$(nproc)

say() {
    printf '%s\n' "$*"
}

die() {
    printf 'dev: %s\n' "$*" >&2
    exit 1
}

# --- the end ------------------------------------------------------------------------------------
# Every process that is started in the background is a process group of its own (set -m), so that
# it can be ended together with its children, and nothing else can.
set -m
running=()     # process groups
cleanup_dirs=() # removed at the end

remember_process() {
    running+=("$1")
}

# end_process PID [SIGNAL]: asks the group to end, gives it 5 s, then makes it.
end_process() {
    local pid=$1 signal=${2:-TERM} i kept=() p
    kill -s "$signal" -- "-$pid" 2>/dev/null || true
    for i in $(seq 50); do
        kill -0 -- "-$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -s KILL -- "-$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    for p in ${running[@]+"${running[@]}"}; do
        [ "$p" = "$pid" ] || kept+=("$p")
    done
    running=(${kept[@]+"${kept[@]}"})
}

finish() {
    local status=$? pid dir
    trap - EXIT
    trap '' INT TERM HUP
    for pid in ${running[@]+"${running[@]}"}; do
        end_process "$pid"
    done
    for dir in ${cleanup_dirs[@]+"${cleanup_dirs[@]}"}; do
        rm -rf -- "$dir"
    done
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# --- steps --------------------------------------------------------------------------------------
# run_logged LOG SECONDS CMD...: runs CMD, everything it says goes to build/logs/LOG.log.
run_logged() {
    local log=$logs/$1.log limit=$2 status=0
    shift 2
    timeout --kill-after=10 "$limit" "$@" >"$log" 2>&1 </dev/null &
    local pid=$!
    remember_process "$pid"
    wait "$pid" || status=$?
    end_process "$pid"
    return "$status"
}

show_log() {
    printf '\n--- the end of build/logs/%s.log:\n' "$1" >&2
    tail -n 40 "$logs/$1.log" >&2
}

# step TITLE LOG SECONDS CMD...: one calm line; the end of the log and an exit when CMD fails.
step() {
    local title=$1 log=$2 limit=$3 status=0 start=$SECONDS
    shift 3
    printf '%-46s' "$title"
    run_logged "$log" "$limit" "$@" || status=$?
    if [ "$status" -eq 0 ]; then
        printf ' done  %3d s\n' $((SECONDS - start))
        return 0
    fi
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        printf ' stopped after %d s, its limit\n' "$limit"
    else
        printf ' failed\n'
    fi
    show_log "$log"
    exit 1
}

# --- packages -----------------------------------------------------------------------------------
# Words of a line of scripts/dev/packages, with "@NAME" taken in.
package_words() {
    local word
    for word in $(sed -n "s/^$1:[[:space:]]*//p" "$root/scripts/dev/packages"); do
        case $word in
        @*) package_words "${word#@}" ;;
        *) printf '%s\n' "$word" ;;
        esac
    done
}

# Packages of the list on standard input of which no alternative is installed.
missing_packages() {
    local installed word name found
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p')
    while read -r word; do
        found=no
        for name in ${word//|/ }; do
            if grep -qxF -- "$name" <<<"$installed"; then
                found=yes
            fi
        done
        [ "$found" = yes ] || printf '%s\n' "$word"
    done
}

# The first alternative of "A|B" that apt knows.
pick_alternative() {
    local name
    for name in ${1//|/ }; do
        if [ -n "$(apt-cache madison "$name" 2>/dev/null)" ]; then
            printf '%s\n' "$name"
            return
        fi
    done
    printf '%s\n' "${1%%|*}"
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        env "$@"
    elif [ -t 0 ]; then
        sudo env "$@"
    else
        sudo -n env "$@"
    fi
}

apt_get() {
    as_root DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

apt_has_lists() {
    compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null
}

# Installs what COMMAND needs and the machine lacks.
need() {
    local missing words=() names=() word
    if ! command -v dpkg-query >/dev/null; then
        say "This is not Debian: what \"$1\" needs is not installed for you, see scripts/dev/packages."
        return 0
    fi
    missing=$(package_words "$1" | sort -u | missing_packages)
    [ -n "$missing" ] || return 0
    mapfile -t words <<<"$missing"
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        die "these packages are missing, and without root or sudo they cannot be installed:
  ${words[*]}
Install them as root (apt-get install ...) and start ./dev $1 again."
    fi
    say "Installing ${#words[@]} Debian packages (build/logs/packages.log)"
    : >"$logs/packages.log"
    if ! apt_has_lists; then
        apt_get update >>"$logs/packages.log" 2>&1 || install_failed "$1" "${words[*]}"
    fi
    for word in "${words[@]}"; do
        names+=("$(pick_alternative "$word")")
    done
    # Lists that are older than the archive name files that are gone: get new ones, once.
    apt_get install -y --no-install-recommends "${names[@]}" >>"$logs/packages.log" 2>&1 ||
        { apt_get update && apt_get install -y --no-install-recommends "${names[@]}"; } \
            >>"$logs/packages.log" 2>&1 || install_failed "$1" "${names[*]}"
}

install_failed() {
    tail -n 15 "$logs/packages.log" >&2
    die "apt-get could not install what \"$1\" needs: $2
The reason is above and in build/logs/packages.log. Install them yourself and start ./dev $1 again."
}

# --- builds -------------------------------------------------------------------------------------
# build_in DIR TITLE OPTIONS...: configures DIR unless it is configured, and builds it.
build_in() {
    local dir=$1 title=$2
    shift 2
    local log
    log=$(basename "$dir")
    if [ ! -f "$root/$dir/build.ninja" ]; then
        step "Configuring $title" "$log-configure" 300 meson setup "$root/$dir" "$root" "$@"
    fi
    step "Building $title" "$log-build" 1200 ninja -C "$root/$dir" -j "$jobs"
}

# The build on the paths of what is started from here.
use_build() {
    local dir=$root/build
    export PATH=$dir/tools:$dir/ingest:$dir/integrations/ffmpeg:$PATH
    export CUFRAMES_FFMPEG_SHIMS=$dir/integrations/ffmpeg
    export LD_LIBRARY_PATH=$dir/src${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export PYTHONPATH=$dir/bindings/python${PYTHONPATH:+:$PYTHONPATH}
    export PKG_CONFIG_PATH=$dir/meson-uninstalled${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
}
