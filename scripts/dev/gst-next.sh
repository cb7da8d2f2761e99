# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev gst-next [bench | CMD...]: GStreamer's next release. Makes a Debian 13 root below build-gst-next/ on
# the first call, builds there with its GStreamer 1.26, and runs the tests of the plug-in and of
# unixfd, which need stock elements that Debian 12 does not have. With "bench" it measures instead and
# writes docs/benchmarks/gstreamer.md; with CMD it runs that in the root, in the checkout, with the
# build on its paths. Needs root (or sudo) and the rights to mount.
release=trixie
debian=$root/build-gst-next/root
installed=$root/build-gst-next/packages
enter=$root/scripts/dev/gst-next-enter
need gst-next
# As words: steps run programs, not functions.
inside=("$enter" "$debian" "$root")
rooted=()
[ "$(id -u)" -eq 0 ] || rooted=(sudo -n)
inside=(${rooted[@]+"${rooted[@]}"} "${inside[@]}")

# shellcheck source=scripts/dev/debian.sh
. "$root/scripts/dev/debian.sh"

make_root() {
    local from
    from=$(debian_mirror)
    [ -n "$from" ] || die "apt knows no Debian archive: run apt-get update first"
    as_root rm -rf -- "$debian.part" "$installed"
    mkdir -p "$debian.part"
    step "Making a Debian 13 root" gst-next-root 900 \
        ${rooted[@]+"${rooted[@]}"} debootstrap --variant=minbase "$release" "$debian.part" "$from"
    as_root cp /etc/resolv.conf "$debian.part/etc/resolv.conf"
    mv "$debian.part" "$debian"
}

install_packages() {
    mapfile -t names < <(package_words gst-next-root | sort -u)
    [ "${names[*]}" != "$(cat "$installed" 2>/dev/null)" ] || return 0
    # shellcheck disable=SC2016
    step "Installing ${#names[@]} packages there" gst-next-packages 1200 "${inside[@]}" sh -c \
        'apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"' \
        sh "${names[@]}"
    printf '%s\n' "${names[*]}" >"$installed"
}

[ -d "$debian" ] || make_root
install_packages
"${inside[@]}" test -f /build/build.ninja ||
    step "Configuring there" gst-next-configure 300 "${inside[@]}" meson setup /build /source \
        --buildtype=debugoptimized -Dgstreamer=enabled -Dman=disabled -Dpython=disabled
step "Building there" gst-next-build 1200 "${inside[@]}" ninja -C /build -j "$jobs"
if [ "$*" = bench ]; then
    [ "$(cut -d. -f1 /proc/loadavg)" -lt 1 ] ||
        say "This machine is doing other work (load $(cut -d' ' -f1 /proc/loadavg)): the figures will show it."
    step "Measuring" gst-next-bench 900 "$root/dev" gst-next python3 tests/bench/gstreamer.py --build /build \
        --page docs/benchmarks/gstreamer.md
    sed -n '/^## One reader/,/^## What/{/^## What/!p}' "$root/docs/benchmarks/gstreamer.md"
    say "All of it is in docs/benchmarks/gstreamer.md."
    exit
fi
if [ $# -gt 0 ]; then
    "${inside[@]}" env PATH=/build/tools:/usr/sbin:/usr/bin:/sbin:/bin LD_LIBRARY_PATH=/build/src \
        GST_PLUGIN_PATH=/build/integrations/gstreamer sh -c 'cd /source && exec "$@"' sh "$@"
    exit
fi
"${inside[@]}" gst-launch-1.0 --version | sed -n 2p
status=0
run_logged gst-next-test 900 "${inside[@]}" meson test -C /build --no-rebuild --num-processes "$jobs" \
    --print-errorlogs --suite gstreamer --suite unixfd || status=$?
sed -n '/^ *[0-9]*\/[0-9]* /p;/^Ok: /,/^Timeout: /p' "$logs/gst-next-test.log"
[ "$status" -eq 0 ] || show_log gst-next-test
exit "$status"
