# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev gst-next [bench | CMD...]: GStreamer's next release. Makes a Debian 13 root below build-gst-next/ on
# the first call, builds there with its GStreamer 1.26, and runs the tests of the plug-in and of
# unixfd, which need stock elements that Debian 12 does not have. With "bench" it measures instead and
# writes docs/benchmarks/gstreamer.md; with CMD it runs that in the root, in the checkout, with the
# build on its paths. Needs root (or sudo) and the rights to mount.
need gst-next
# shellcheck source=scripts/dev/debian_root.sh
. "$root/scripts/dev/debian_root.sh"

prepare_root "$root/build-gst-next" gst-next
build_inside gst-next /build '' -Dgstreamer=enabled
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
test_inside gst-next /build --suite gstreamer --suite unixfd
