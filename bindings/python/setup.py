# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds the wheel: Meson compiles the extension and the command, setuptools does the rest.

The command needs jansson, libpng, libjpeg and zlib to build. Where one of them is missing the wheel
is without it, and "python -m cuframes" says so; with CUFRAMES_WHEEL_COMMAND=1 in the environment
that is an error here, with 0 the command is left out.
"""
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # before setuptools 70 it was in wheel
    from wheel.bdist_wheel import bdist_wheel

HERE = pathlib.Path(__file__).resolve().parent
# The source distribution has a copy of what is two folders up in a checkout.
ROOT = HERE / "core" if (HERE / "core").exists() else HERE.parent.parent
TOOLS = {"0": "disabled", "1": "enabled"}.get(os.environ.get("CUFRAMES_WHEEL_COMMAND", ""), "auto")
OPTIONS = [
    "--buildtype=release", "-Dprefer_static=true", "-Dwheel=true", f"-Dtools={TOOLS}",
    "-Dingest=disabled", "-Dview=disabled", "-Dman=disabled", "-Dtests=false", "-Dexamples=false",
    "-Dpython=enabled", f"-Dpython_program={sys.executable}",
]


def run(*words):
    """A program of the system, or of an isolated build's packages.

    An isolated build hides the system's Python packages from every Python that it starts, by
    PYTHONPATH; a Meson of the system's needs them.
    """
    name, *rest = map(str, words)
    found = shutil.which(name, path=os.pathsep.join(
        [os.path.dirname(sys.executable), os.environ.get("PATH", "")]))
    if not found:
        sys.exit(f"setup.py: {name} is needed to build cuframes, and is not there")
    environment = dict(os.environ)
    if importlib.util.find_spec("mesonbuild") is None:
        environment.pop("PYTHONPATH", None)
    subprocess.run([found, *rest], check=True, env=environment)


class Build(build_ext):
    """The extension, and the command beside it, by Meson."""

    def build_extension(self, ext):
        build = pathlib.Path(self.build_temp).resolve() / "meson"
        shutil.rmtree(build, ignore_errors=True)
        run("meson", "setup", build, ROOT, *OPTIONS)
        extension = "bindings/python/cuframes/_cuframes.abi3.so"
        run("ninja", "-C", build, extension)
        target = pathlib.Path(self.get_ext_fullpath(ext.name)).resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        self.copy_stripped(build / extension, target)
        if TOOLS != "disabled" and self.has_command(build):
            run("ninja", "-C", build, "tools/cuframes")
            self.copy_stripped(build / "tools/cuframes", target.parent / "cuframes")
        elif TOOLS != "disabled":
            self.announce("cuframes: the wheel is without the command, because jansson, libpng, "
                          "libjpeg or zlib is missing", level=3)

    @staticmethod
    def has_command(build):
        return re.search(r"^build tools/cuframes:", (build / "build.ninja").read_text(), re.M)

    @staticmethod
    def copy_stripped(source, target):
        shutil.copy(source, target)
        strip = shutil.which("strip")
        if strip:
            subprocess.run([strip, "--strip-unneeded", str(target)], check=True)


class Modules(build_py):
    """The modules in Python, without those of an earlier build that are no longer there."""

    def run(self):
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class Wheel(bdist_wheel):
    """One wheel for every CPython from 3.11."""

    def finalize_options(self):
        self.py_limited_api = "cp311"
        super().finalize_options()


setup(
    version=re.search(r"version: '([0-9.]+)'", (ROOT / "meson.build").read_text()).group(1),
    ext_modules=[Extension("cuframes._cuframes", [], py_limited_api=True)],
    cmdclass={"build_py": Modules, "build_ext": Build, "bdist_wheel": Wheel},
)
