# SPDX-License-Identifier: LGPL-2.1-or-later
"""The build backend: setuptools, and the sources of the library in the sdist.

In a checkout those are two folders up, where a source distribution cannot reach; so they are copied
to core/ while one is made.
"""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F401,F403: the hooks that need nothing of their own

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
# What the library, the command and the extension are built from.
FOLDERS = ("src", "include", "ingest", "tools", "bindings/python/native",
           "bindings/python/cuframes")
MESON = (1, 0, 1)
FILES = ("meson.build", "meson_options.txt", "COPYING", "bindings/python/meson.build")


@contextlib.contextmanager
def licence():
    """The licence beside pyproject.toml, where setuptools takes it from."""
    copy = HERE / "COPYING"
    if copy.exists():  # in an sdist
        yield
        return
    shutil.copy(ROOT / "COPYING", copy)
    try:
        yield
    finally:
        copy.unlink()


@contextlib.contextmanager
def sources():
    """What is two folders up, here."""
    core = HERE / "core"
    if core.exists():  # in an sdist
        yield
        return
    try:
        for folder in FOLDERS:
            shutil.copytree(ROOT / folder, core / folder,
                            ignore=shutil.ignore_patterns("__pycache__"))
        for file in FILES:
            shutil.copy(ROOT / file, core / file)
        yield
    finally:
        shutil.rmtree(core, ignore_errors=True)


def system_has_meson():
    """Whether there is a Meson on the PATH, and new enough."""
    meson = shutil.which("meson")
    if not meson:
        return False
    # pip's PYTHONPATH hides the system's packages, in which a Meson of the system is.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run([meson, "--version"], capture_output=True, text=True, check=False,
                          env=environment)
    version = re.match(r"(\d+)\.(\d+)\.(\d+)", said.stdout)
    return version is not None and tuple(map(int, version.groups())) >= MESON


def get_requires_for_build_wheel(config_settings=None):
    needed = build_meta.get_requires_for_build_wheel(config_settings)
    # Both or none: what pip installs needs pip's PYTHONPATH, and what the system has does not bear it.
    if not system_has_meson() or not shutil.which("ninja"):
        needed += ["meson>=" + ".".join(map(str, MESON)), "ninja"]
    return needed


get_requires_for_build_editable = get_requires_for_build_wheel


def build_sdist(sdist_directory, config_settings=None):
    with licence(), sources():
        return build_meta.build_sdist(sdist_directory, config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with licence():
        return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
