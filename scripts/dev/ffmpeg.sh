# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev ffmpeg 5.1|7.1
case "$#,${1-}" in
1,5.1 | 1,7.1) ;;
*) die "ffmpeg takes one release of FFmpeg: 5.1 (Debian 12's) or 7.1 (Debian 13's)" ;;
esac
need ffmpeg
build_in build cuframes
# shellcheck source=scripts/dev/ffmpeg_build.sh
. "$root/scripts/dev/ffmpeg_build.sh"
build_ffmpeg "$1"
say "build-ffmpeg/$1/bin/ffmpeg knows cuframes:// and cuframes_packets://, see docs/ffmpeg.md."
