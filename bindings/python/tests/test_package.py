# SPDX-License-Identifier: LGPL-2.1-or-later
"""The package as pip installs it, its stubs, and its names."""
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig

import pytest

import cuframes

FOLDER = pathlib.Path(__file__).resolve().parent.parent
WHEELS = pathlib.Path("/usr/share/python-wheels")  # Debian's python3-setuptools-whl, -wheel-whl
BUILD = """
import sys
sys.path.insert(0, "build_tools")
import backend
print(getattr(backend, sys.argv[1])(sys.argv[2]))
"""


def run(*words, **options):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=240,
                          **options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def have(*modules):
    return all(importlib.util.find_spec(module) for module in modules)


def copy_checkout(checkout):
    """What the package is built from, as in a checkout; gives its folder there."""
    copy = checkout / "bindings" / "python"
    root = FOLDER.parent.parent
    for folder in ("src", "include", "ingest", "tools"):
        shutil.copytree(root / folder, checkout / folder)
    for file in ("meson.build", "meson_options.txt", "COPYING"):
        shutil.copy(root / file, checkout / file)
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "core"))
    return copy


def clean_environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@pytest.mark.time_limit(280)
@pytest.mark.skipif(not have("setuptools", "wheel", "pip", "venv") or not shutil.which("meson"),
                    reason="setuptools, wheel, pip, venv or Meson is missing")
def test_sdist_wheel_and_an_environment_with_nothing_else(tmp_path):
    copy = copy_checkout(tmp_path / "checkout")
    environment = clean_environment()

    run(sys.executable, "-c", BUILD, "build_sdist", tmp_path, cwd=copy, env=environment)
    assert not (copy / "core").exists() and not (copy / "COPYING").exists()
    sdist, = tmp_path.glob("cuframes-*.tar.gz")
    shutil.rmtree(tmp_path / "checkout")

    run("tar", "-xf", sdist, "-C", tmp_path)
    unpacked = tmp_path / sdist.name[:-len(".tar.gz")]
    # What a build of another version left.
    tag = f"{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    old = unpacked / "build" / f"lib.{tag}" / "cuframes" / "_old.py"
    old.parent.mkdir(parents=True)
    old.touch()
    run(sys.executable, "-c", BUILD, "build_wheel", tmp_path, cwd=unpacked, env=environment)
    wheel, = tmp_path.glob("*.whl")
    assert "-cp311-abi3-" in wheel.name

    run(sys.executable, "-m", "venv", tmp_path / "venv", env=environment)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--no-index", "--no-deps", wheel, env=environment)
    program = """if True:
        import cuframes
        with cuframes.Publisher("x", 4, 2, "gray") as pub, cuframes.open("x", timeout=5) as sub:
            buffer = pub.acquire()
            memoryview(buffer).cast("B")[:] = b"12345678"
            buffer.publish()
            print(cuframes.version_string(), bytes(memoryview(next(sub)).cast("B")))
    """
    said = run(python, "-c", program, env=environment, cwd=tmp_path)
    assert said == f"{cuframes.version_string()} b'12345678'\n"
    listed = run(python, "-m", "pip", "show", "--files", "cuframes", env=environment)
    for file in ("py.typed", "_cuframes.pyi", "_cuframes.abi3.so", "COPYING"):
        assert file in listed
    assert "_old.py" not in listed
    if "cuframes/cuframes\n" in listed:
        assert cuframes.version_string() in run(python, "-m", "cuframes", "--version",
                                                env=environment, cwd=tmp_path)
        ingest = subprocess.run([python, "-m", "cuframes", "ingest", "x"], capture_output=True,
                                text=True, env=environment)
        assert ingest.returncode == 1 and "Python package" in ingest.stderr


@pytest.mark.time_limit(280)
@pytest.mark.skipif(not all(list(WHEELS.glob(f"{name}-*.whl")) for name in ("setuptools", "wheel"))
                    or not have("pip", "venv") or not shutil.which("meson")
                    or not shutil.which("ninja"),
                    reason="Debian's wheels of setuptools and wheel, pip, Meson or Ninja is missing")
@pytest.mark.parametrize("editable", [False, True])
def test_an_isolated_build(tmp_path, editable):
    """pip makes an environment for the build, of Debian's wheels, which sees no other package."""
    copy = copy_checkout(tmp_path / "checkout")
    environment = clean_environment() | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(WHEELS)}
    run(sys.executable, "-m", "venv", tmp_path / "venv", env=environment)
    python = tmp_path / "venv" / "bin" / "python"
    words = ("--editable", copy) if editable else (copy,)
    run(python, "-m", "pip", "install", *words, env=environment)
    said = run(python, "-c", "import cuframes; print(cuframes.version_string())", env=environment,
               cwd=tmp_path)
    assert said == f"{cuframes.version_string()}\n"


@pytest.mark.skipif((pathlib.Path(cuframes.__file__).parent / "cuframes").exists(),
                    reason="this is an installed package, with the command")
def test_the_package_in_the_build_folder_says_that_it_has_no_command():
    done = subprocess.run([sys.executable, "-m", "cuframes"], capture_output=True, text=True)
    assert done.returncode == 1 and "without the command" in done.stderr


@pytest.mark.time_limit(280)
@pytest.mark.skipif(not have("mypy"), reason="mypy is missing")
def test_the_stubs_say_what_the_extension_has(tmp_path):
    package = pathlib.Path(cuframes.__file__).resolve().parent.parent
    environment = dict(os.environ, MYPYPATH=str(package), MYPY_CACHE_DIR=str(tmp_path / "cache"))
    # Reading NumPy's own annotations takes most of the time, and they are not compared.
    settings = tmp_path / "mypy.ini"
    settings.write_text("[mypy]\nignore_missing_imports = True\n[mypy-numpy.*]\nfollow_imports = skip\n")
    run(sys.executable, "-m", "mypy.stubtest", "--mypy-config-file", settings,
        "cuframes._cuframes", cwd=tmp_path, env=environment)


@pytest.mark.time_limit(280)
@pytest.mark.skipif(not have("mypy"), reason="mypy is missing")
def test_type_checkers_know_every_public_name(tmp_path):
    package = pathlib.Path(cuframes.__file__).resolve().parent.parent
    environment = dict(os.environ, MYPYPATH=str(package), MYPY_CACHE_DIR=str(tmp_path / "cache"))
    settings = tmp_path / "mypy.ini"
    settings.write_text("[mypy]\nignore_missing_imports = True\nimplicit_reexport = False\n"
                        "[mypy-numpy.*]\nfollow_imports = skip\n")
    program = tmp_path / "program.py"
    names = [*cuframes.__all__, "open", "list"]
    program.write_text("import cuframes\n\nfor frame in cuframes.open('cam1'):\n"
                       "    seq: int = frame.seq\nkeys: list[str] = cuframes.list()\n"
                       + "".join(f"cuframes.{name}\n" for name in names))
    run(sys.executable, "-m", "mypy", "--config-file", settings, program, cwd=tmp_path,
        env=environment)


def test_every_public_name_has_a_docstring():
    for name in [*cuframes.__all__, "open", "list"]:
        thing = getattr(cuframes, name)
        assert thing.__doc__, name
        if isinstance(thing, type) and thing.__module__.startswith("cuframes"):
            for attribute in dir(thing):
                if not attribute.startswith("_") and attribute not in dir(Exception):
                    member = getattr(thing, attribute)
                    if callable(member) or isinstance(member, property):
                        assert member.__doc__, f"{name}.{attribute}"


def test_a_star_import_leaves_the_names_of_python_alone():
    names = {}
    exec("from cuframes import *", names)
    assert "open" not in names and "list" not in names and "Publisher" in names


def test_the_binary_has_one_name_and_no_library_of_its_own_to_find():
    binary = pathlib.Path(cuframes._cuframes.__file__)
    assert binary.name == "_cuframes.abi3.so"
    if shutil.which("nm"):
        defined = run("nm", "-D", "--defined-only", binary).split("\n")
        assert [line.split()[-1] for line in defined if line] == ["PyInit__cuframes"]


def test_without_numpy(script):
    program = script("""
        import sys
        sys.modules["numpy"] = None
        import cuframes
        with cuframes.Publisher("x", 4, 2, "gray") as pub, cuframes.open("x", timeout=5) as sub:
            buffer = pub.acquire()
            memoryview(buffer).cast("B")[:] = b"12345678"
            buffer.publish()
            frame = next(sub)
            print(memoryview(frame.planes[0]).tolist(), flush=True)
            try:
                frame.numpy()
            except ImportError:
                print("no NumPy", flush=True)
    """)
    assert program.line() == "[[49, 50, 51, 52], [53, 54, 55, 56]]"
    assert program.line() == "no NumPy"
    assert program.end() == 0
