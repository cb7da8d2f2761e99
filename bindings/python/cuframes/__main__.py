# SPDX-License-Identifier: LGPL-2.1-or-later
"""python -m cuframes: runs the command that the package contains."""
import os
import sys


def main() -> int:
    command = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cuframes")
    if not os.access(command, os.X_OK):
        print("cuframes: this package was built without the command, because the development "
              "files of jansson, libpng, libjpeg or zlib, or Meson and Ninja, were missing. "
              "Install them and build the package again, or install the command from the source "
              "tree (./dev install).", file=sys.stderr)
        return 1
    os.execv(command, ["cuframes", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
