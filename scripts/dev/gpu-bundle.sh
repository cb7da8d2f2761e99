# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev gpu-bundle: the ingest for a GPU machine that has no FFmpeg and cannot install any, made on
# Debian 12: the commands and the tests' readers, linked with a small static FFmpeg from Debian's
# source package that has NVDEC's decoders, and clips with what they decode to. The result is
# build-gpu/bundle; run-gpu-ingest-tests there is to be run on the GPU machine, and so is
# run-gpu-ffmpeg-tests, for which FFmpeg 5.1 and 7.1 with cuframes in them go along.
[ $# -eq 0 ] || die "gpu-bundle takes no argument"
need gpu-bundle
work=$root/build-gpu
bundle=$work/bundle
mkdir -p "$work"

# shellcheck source=scripts/dev/debian.sh
. "$root/scripts/dev/debian.sh"

fetch_ffmpeg() {
    local release
    release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    rm -rf "$work/ffmpeg-source"
    mkdir -p "$work/ffmpeg-source"
    cd "$work/ffmpeg-source"
    private_apt "$release" update
    private_apt "$release" source --download-only ffmpeg
    dpkg-source --no-check --extract ffmpeg_*.dsc tree
    rm -rf -- apt
}

# What the ingest needs of it, and the command for comparisons. The kernels are compiled by clang,
# as Debian does it.
build_ffmpeg() {
    rm -rf "$work/ffmpeg-build" "$work/ffmpeg"
    mkdir -p "$work/ffmpeg-build"
    cd "$work/ffmpeg-build"
    "$work/ffmpeg-source/tree/configure" --prefix="$work/ffmpeg" \
        --disable-everything --disable-autodetect --disable-doc --disable-debug --disable-ffplay \
        --disable-swresample --disable-postproc --enable-pic --enable-static --disable-shared \
        --enable-ffnvcodec --enable-cuda-llvm --enable-cuvid --enable-nvdec --enable-nvenc --nvcc=clang \
        --enable-indev=lavfi \
        --enable-protocol=file,pipe,tcp,udp,rtp,unix,http \
        --enable-demuxer=mov,matroska,nut,mpegts,h264,hevc,mjpeg,ivf,obu,avi,rtsp,sdp,rtp,rawvideo \
        --enable-muxer=mov,mp4,matroska,nut,mpegts,h264,hevc,rawvideo,framemd5,null,rtsp,rtp \
        --enable-parser=h264,hevc,av1,vp8,vp9,mjpeg,mpeg4video,mpegvideo \
        --enable-decoder=h264,hevc,av1,vp8,vp9,mjpeg,mpeg4,mpeg2video,rawvideo,wrapped_avframe \
        --enable-decoder=h264_cuvid,hevc_cuvid,av1_cuvid,vp9_cuvid,vp8_cuvid,mjpeg_cuvid \
        --enable-decoder=mpeg2_cuvid,mpeg4_cuvid \
        --enable-encoder=rawvideo,wrapped_avframe,h264_nvenc,hevc_nvenc \
        --enable-hwaccel=h264_nvdec,hevc_nvdec,av1_nvdec,vp9_nvdec \
        --enable-bsf=h264_mp4toannexb,hevc_mp4toannexb,extract_extradata,vp9_superframe \
        --enable-bsf=vp9_superframe_split,av1_frame_merge,av1_frame_split,null,noise,setts \
        --enable-filter=scale,scale_cuda,format,hwupload,hwdownload,hwupload_cuda,null,buffer \
        --enable-filter=buffersink,fps,trim,setpts,copy,testsrc2
    grep -q 'CONFIG_SCALE_CUDA_FILTER 1' config_components.h
    grep -q 'CONFIG_AV1_CUVID_DECODER 1' config_components.h
    make -j "$jobs" install
}

build_programs() {
    if [ ! -f "$work/programs/build.ninja" ]; then
        PKG_CONFIG_PATH=$work/ffmpeg/lib/pkgconfig meson setup "$work/programs" "$root" \
            --buildtype=release -Dprefer_static=true -Dview=disabled -Dgstreamer=disabled \
            -Dman=disabled -Dexamples=false
    fi
    ninja -C "$work/programs" -j "$jobs" tools/cuframes tools/cuframes-media tests/ingest/framelog
}

fill_bundle() {
    local version module
    rm -rf "$bundle"
    mkdir -p "$bundle/bin" "$bundle/lib" "$bundle/clips"
    cp "$work/programs/tools/cuframes" "$work/programs/tools/cuframes-media" \
        "$work/programs/tests/ingest/framelog" "$work/ffmpeg/bin/ffmpeg" "$bundle/bin"
    cp -L "$work/programs/src/libcuframes.so.0" "$bundle/lib"
    for version in $releases; do
        cp "$root/build-ffmpeg/$version/bin/ffmpeg" "$bundle/bin/ffmpeg-$version"
    done
    strip "$bundle"/bin/* "$bundle"/lib/*
    cp "$work"/clips/* "$bundle/clips"
    cp "$root/tests/gpu_ingest/run.py" "$bundle/run-gpu-ingest-tests"
    cp "$root/tests/gpu_ingest/ffmpeg_run.py" "$bundle/run-gpu-ffmpeg-tests"
    for module in cameras machine suite; do
        cp "$root/tests/gpu_ingest/$module.py" "$bundle"
    done
    chmod +x "$bundle"/run-gpu-*
    # A library that the other machine may lack must not be asked for.
    ! ldd "$bundle"/bin/* | grep -vE 'linux-vdso|ld-linux|lib(c|m|dl|pthread|rt|cuframes|gcc_s|stdc\+\+|atomic)\.|:$|statically'
}

export -f debian_mirror private_apt fetch_ffmpeg build_ffmpeg build_programs fill_bundle
releases='5.1 7.1'
export root work bundle jobs releases
# bundle_step TITLE LOG SECONDS FUNCTION
bundle_step() {
    step "$1" "$2" "$3" bash -euo pipefail -c "$4"
}
for version in $releases; do
    step "Building FFmpeg $version with cuframes in it" "bundle-ffmpeg-$version" 2400 \
        "$root/dev" ffmpeg "$version"
done
[ -d "$work/ffmpeg-source/tree" ] ||
    bundle_step "Fetching Debian's FFmpeg source" bundle-fetch 600 fetch_ffmpeg
[ -x "$work/ffmpeg/bin/ffmpeg" ] ||
    bundle_step "Building a small static FFmpeg" bundle-ffmpeg 1800 build_ffmpeg
bundle_step "Building the programs with it" bundle-programs 900 build_programs
[ -f "$work/clips/clips.json" ] || step "Making clips" bundle-clips 600 \
    python3 "$root/tests/gpu_ingest/make_clips.py" "$work/clips"
bundle_step "Filling the bundle" bundle-fill 60 fill_bundle
say "The bundle is build-gpu/bundle, $(du -sm "$bundle" | cut -f1) MB."
