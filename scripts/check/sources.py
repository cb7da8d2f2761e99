# SPDX-License-Identifier: LGPL-2.1-or-later
"""The files of this project, for the checks: what git tracks or would track, else what is there."""
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
C_SUFFIXES = {".c", ".h", ".hpp", ".cpp"}


def project_files():
    """Paths below ROOT, relative and sorted."""
    try:
        listed = subprocess.run(
            ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others",
             "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True).stdout.decode()
        names = {name for name in listed.split("\0") if name}
    except (OSError, subprocess.CalledProcessError):
        names = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*")
                 if not any(part.startswith((".", "build")) for part in path.relative_to(ROOT).parts)}
    return sorted(pathlib.Path(name) for name in names if (ROOT / name).is_file())


def c_files(*folders):
    """C and C++ files, of these top folders if any are named."""
    return [path for path in project_files()
            if path.suffix in C_SUFFIXES and (not folders or path.parts[0] in folders)]
