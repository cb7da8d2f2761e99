# SPDX-License-Identifier: LGPL-2.1-or-later
# ./dev install PREFIX
[ $# -eq 1 ] || die "install needs one PREFIX, for example: ./dev install /usr/local"
need install
case $1 in
/*) prefix=$1 ;;
*) prefix=$PWD/$1 ;;
esac
# One build folder serves every prefix: what depends on it is configured again.
if [ -f "$root/build-release/build.ninja" ]; then
    step "Configuring for $prefix" build-release-configure 300 \
        meson configure "$root/build-release" --prefix "$prefix"
fi
build_in build-release "with optimisation" --buildtype=release --prefix "$prefix" -Dtests=false
step "Installing below $prefix" install 300 meson install -C "$root/build-release" --no-rebuild
libdir=$(meson introspect "$root/build-release" --buildoptions |
    python3 -c 'import json, sys; print(next(o["value"] for o in json.load(sys.stdin) if o["name"] == "libdir"))')
if [ -z "$(ldconfig -N -v 2>/dev/null | grep -F "$prefix/$libdir:")" ]; then
    say "$prefix/$libdir is not on the loader's path. Use it with:"
    say "  export PATH=$prefix/bin:\$PATH LD_LIBRARY_PATH=$prefix/$libdir PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig"
elif [ "$(id -u)" -eq 0 ]; then
    ldconfig
fi
