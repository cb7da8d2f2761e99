# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev ffmpeg 5.1|7.1: builds a patched FFmpeg. ./dev ffmpeg stock-7.1: tests cuframes-ffmpeg with
# Debian 13's FFmpeg as it is packaged, in a root of its own below build-ffmpeg/debian13/.
# ./dev ffmpeg matrix: every clip and camera through every way, with all of them but that one.
# What its tests need.
stock_targets='tools/cuframes tools/cuframes-media tests/ingest/framelog integrations/ffmpeg/ffmpeg-shim-61.so'
stock_next() {
    need ffmpeg-stock-7.1
    # shellcheck source=scripts/dev/debian_root.sh
    . "$root/scripts/dev/debian_root.sh"
    mkdir -p "$root/build-ffmpeg/debian13"
    prepare_root "$root/build-ffmpeg/debian13" ffmpeg-stock-7.1
    build_inside ffmpeg-stock-7.1 /build "$stock_targets" -Dgstreamer=disabled -Dexamples=false
    "${inside[@]}" ffmpeg -version | sed -n 1p
    test_inside ffmpeg-stock-7.1 /build cuframes-ffmpeg ffmpeg-stock-frames ffmpeg-stock-input \
        ffmpeg-stock-output ffmpeg-stock-packets ffmpeg-stock-feeds-full ffmpeg-stock-matrix-full
}

case "$#,${1-}" in
1,5.1 | 1,7.1)
    need ffmpeg
    build_in build cuframes
    # shellcheck source=scripts/dev/ffmpeg_build.sh
    . "$root/scripts/dev/ffmpeg_build.sh"
    build_ffmpeg "$1"
    say "build-ffmpeg/$1/bin/ffmpeg knows cuframes:// and cuframes_packets://, see docs/ffmpeg.md."
    ;;
1,stock-7.1) stock_next ;;
1,matrix)
    need test
    build_in build cuframes
    for version in 5.1 7.1; do
        step "FFmpeg $version with cuframes in it" "ffmpeg-$version" 1800 "$root/dev" ffmpeg "$version"
    done
    status=0
    run_logged ffmpeg-matrix 1800 meson test -C "$root/build" --no-rebuild --num-processes 1 \
        --print-errorlogs --suite ffmpeg-matrix || status=$?
    sed -n '/^ *[0-9]*\/[0-9]* /p;/^Ok: /,/^Timeout: /p' "$logs/ffmpeg-matrix.log"
    [ "$status" -eq 0 ] || show_log ffmpeg-matrix
    exit "$status"
    ;;
*) die "ffmpeg takes 5.1 (Debian 12's FFmpeg), 7.1 (Debian 13's), stock-7.1 or matrix" ;;
esac
