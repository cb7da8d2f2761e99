# SPDX-License-Identifier: LGPL-2.1-or-later
# What ./dev gpu-test and ./dev gpu-bench share. They run on machines that are not Debian and cannot
# install anything: with gcc, Meson, Ninja and the caller's own Python, and with what else is there.

# The caller's own programs first: its Python has PyTorch and the like.
use_callers_path() {
    PATH=$caller_path:$PATH
    export PATH
    local tool
    for tool in gcc meson ninja python3; do
        command -v "$tool" >/dev/null || die "this needs gcc, meson, ninja and python3; there is no $tool"
    done
}

gpu_build=$root/build-gpu/machine

# build_gpu TARGET...
build_gpu() {
    if [ ! -f "$gpu_build/build.ninja" ]; then
        step "Configuring for this machine" build-gpu-configure 300 \
            meson setup "$gpu_build" "$root" --buildtype=debugoptimized -Dexamples=false -Dman=disabled
        sed -n '/^  Built$/,/^$/p' "$logs/build-gpu-configure.log"
    fi
    step "Building for this machine" build-gpu-build 600 ninja -C "$gpu_build" -j "$jobs" "$@"
}
