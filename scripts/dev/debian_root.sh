# SPDX-License-Identifier: LGPL-2.1-or-later
# A Debian 13 root of its own, for programs that Debian 12 does not have. Sourced by commands of
# ./dev, which need root (or sudo) and the rights to mount.

# shellcheck source=scripts/dev/debian.sh
. "$root/scripts/dev/debian.sh"

# prepare_root FOLDER NAME: the root FOLDER/root, made on the first call, with the packages of the
# line NAME-root. Sets `inside`: words that run a command in it, with the checkout at /source.
prepare_root() {
    local debian=$1/root installed=$1/packages name=$2 from names rooted=()
    [ "$(id -u)" -eq 0 ] || rooted=(sudo -n)
    # As words: steps run programs, not functions.
    inside=(${rooted[@]+"${rooted[@]}"} "$root/scripts/dev/debian-enter" "$debian" "$root")
    if [ ! -d "$debian" ]; then
        from=$(debian_mirror)
        [ -n "$from" ] || die "apt knows no Debian archive: run apt-get update first"
        as_root rm -rf -- "$debian.part" "$installed"
        mkdir -p "$debian.part"
        step "Making a Debian 13 root" "$name-root" 900 \
            ${rooted[@]+"${rooted[@]}"} debootstrap --variant=minbase trixie "$debian.part" "$from"
        as_root cp /etc/resolv.conf "$debian.part/etc/resolv.conf"
        mv "$debian.part" "$debian"
    fi
    mapfile -t names < <(package_words "$name-root" | sort -u)
    [ "${names[*]}" != "$(cat "$installed" 2>/dev/null)" ] || return 0
    # shellcheck disable=SC2016
    step "Installing ${#names[@]} packages there" "$name-packages" 1200 "${inside[@]}" sh -c \
        'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"' \
        sh "${names[@]}"
    printf '%s\n' "${names[*]}" >"$installed"
}

# build_inside NAME FOLDER TARGETS OPTION...: builds targets of the checkout ('' = all) into FOLDER of
# the root.
build_inside() {
    local name=$1 folder=$2 targets
    read -ra targets <<<"$3"
    shift 3
    "${inside[@]}" test -f "$folder/build.ninja" ||
        step "Configuring there" "$name-configure" 300 "${inside[@]}" meson setup "$folder" /source \
            --buildtype=debugoptimized -Dman=disabled -Dpython=disabled "$@"
    step "Building there" "$name-build" 1200 "${inside[@]}" ninja -C "$folder" -j "$jobs" \
        ${targets[@]+"${targets[@]}"}
}

# test_inside NAME FOLDER TEST...: runs tests of that build (or --suite words), and shows what came of them.
test_inside() {
    local name=$1 folder=$2 status=0
    shift 2
    run_logged "$name-test" 1200 "${inside[@]}" meson test -C "$folder" --no-rebuild \
        --num-processes "$jobs" --print-errorlogs "$@" || status=$?
    sed -n '/^ *[0-9]*\/[0-9]* /p;/^Ok: /,/^Timeout: /p' "$logs/$name-test.log"
    [ "$status" -eq 0 ] || show_log "$name-test"
    return "$status"
}
