# SPDX-License-Identifier: LGPL-2.1-or-later
# Builds a small patched FFmpeg from Debian's source package into build-ffmpeg/VERSION. Sourced by
# commands of ./dev that need one, after the library is built.
#
# The programs have libcuframes in them (build/src/libcuframes.a), so that they can be copied.

# What the tests need.
ffmpeg_options=(
    --disable-everything --disable-autodetect --disable-doc --disable-ffplay
    --disable-debug --enable-libcuframes
    --enable-indev=cuframes,cuframes_packets,lavfi --enable-outdev=cuframes
    --enable-decoder=wrapped_avframe,rawvideo,h264,hevc,mjpeg,mpeg4,aac,opus,pcm_s16le
    --enable-encoder=wrapped_avframe,rawvideo,mjpeg,mpeg4,aac,pcm_s16le
    --enable-parser=h264,hevc,mjpeg,mpeg4video,aac,opus,av1
    --enable-bsf=h264_mp4toannexb,hevc_mp4toannexb,extract_extradata,aac_adtstoasc,null
    --enable-demuxer=mov,matroska,nut,mpegts,avi,h264,hevc,mjpeg,aac,rawvideo
    --enable-muxer=mp4,matroska,nut,mpegts,h264,hevc,rawvideo,framemd5,framehash,hash,null
    --enable-protocol=file,pipe,unix
    --enable-filter=testsrc2,sine,scale,format,null,anull,copy,tile,fps,setpts,setsar,trim,reverse,vflip
    --enable-filter=aformat,aresample,hwupload,hwdownload
)
# With NVIDIA's headers, which Debian has as a package of their own.
ffmpeg_gpu_options=(
    --enable-ffnvcodec --enable-cuda --enable-cuda-llvm --enable-cuvid --enable-nvdec
    --enable-nvenc --enable-hwaccel=h264_nvdec,hevc_nvdec --enable-encoder=h264_nvenc,hevc_nvenc
    --enable-decoder=h264_cuvid,hevc_cuvid --enable-filter=hwupload_cuda,scale_cuda,overlay_cuda
)

# shellcheck source=scripts/dev/debian.sh
. "$root/scripts/dev/debian.sh"

# Gets FFmpeg's source package and NVIDIA's headers of a Debian release into the current folder.
fetch_sources() {
    private_apt "$1" update
    private_apt "$1" source --download-only ffmpeg
    private_apt "$1" download libffmpeg-nvenc-dev ||
        echo "without NVIDIA's headers: this FFmpeg will not know GPUs"
    rm -rf -- apt
}

ffmpeg_suite() {
    case $1 in
    5.1) echo bookworm ;;
    7.1) echo trixie ;;
    esac
}

# What makes it necessary to begin with fresh sources: edits of FFmpeg's own files, other options.
ffmpeg_stamp() {
    printf '%s\n' "${ffmpeg_options[@]}" "${ffmpeg_gpu_options[@]}"
    cat "$root/integrations/ffmpeg/patches/$1"/*.patch
}

# configure_ffmpeg VERSION: fresh sources, patched and configured, in the current folder.
configure_ffmpeg() {
    local options=("${ffmpeg_options[@]}")
    compgen -G 'ffmpeg_*.dsc' >/dev/null || fetch_sources "$(ffmpeg_suite "$1")"
    rm -rf ffmpeg headers
    dpkg-source --no-check --extract ffmpeg_*.dsc ffmpeg
    "$root/integrations/ffmpeg/make-patch" "$1" | patch -p1 -d ffmpeg
    if compgen -G 'libffmpeg-nvenc-dev_*.deb' >/dev/null; then
        dpkg-deb --extract libffmpeg-nvenc-dev_*.deb headers
        # Its file says /usr.
        sed -i "s,^prefix=.*,prefix=$PWD/headers/usr," "$(find headers -name ffnvcodec.pc)"
        options+=("${ffmpeg_gpu_options[@]}")
    fi
    mkdir -p pkgconfig lib
    # A folder with the static library alone.
    ln -sf "$root/build/src/libcuframes.a" lib/
    cat >pkgconfig/cuframes.pc <<END
Name: cuframes
Description: the library of this checkout
Version: $(sed -n "s/^ *version: '\(.*\)',/\1/p" "$root/meson.build" | head -n 1)
Libs: -L$PWD/lib -lcuframes -lpthread -ldl
Cflags: -I$root/include
END
    (cd ffmpeg && PKG_CONFIG_PATH=$PWD/../pkgconfig:$(dirname "$(find ../headers -name ffnvcodec.pc)") \
        ./configure --prefix="$(dirname "$PWD")" "${options[@]}")
    ffmpeg_stamp "$1" >stamp
}

# make_ffmpeg VERSION: what has changed since, in the current folder.
make_ffmpeg() {
    local file program
    for file in "$root"/integrations/ffmpeg/libavdevice/cuframes_*.[ch]; do
        cmp -s "$file" "ffmpeg/libavdevice/${file##*/}" || cp "$file" ffmpeg/libavdevice/
    done
    # FFmpeg's Makefile does not know this file.
    for program in ffmpeg_g ffprobe_g; do
        [ "ffmpeg/$program" -nt "$root/build/src/libcuframes.a" ] || rm -f "ffmpeg/$program"
    done
    make -C ffmpeg -j "$jobs"
    make -C ffmpeg install-progs
}

# build_ffmpeg VERSION: does what is not done yet, in shells that end at the first failure.
build_ffmpeg() {
    local version=$1 folder=$root/build-ffmpeg/$1
    local begin="set -euo pipefail; . '$root/scripts/dev/ffmpeg_build.sh'; cd '$folder'"
    mkdir -p "$folder"
    export root jobs
    if [ "$(ffmpeg_stamp "$version")" != "$(cat "$folder/stamp" 2>/dev/null)" ]; then
        rm -f "$folder/stamp"
        apt_has_lists || apt_get update >"$logs/packages.log" 2>&1 || true
        step "Getting and configuring FFmpeg $version" "ffmpeg-$version-configure" 300 \
            bash -c "$begin; configure_ffmpeg $version"
    fi
    step "Building FFmpeg $version" "ffmpeg-$version-build" 1200 bash -c "$begin; make_ffmpeg $version"
}
