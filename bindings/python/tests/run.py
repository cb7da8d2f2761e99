# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the tests of this folder with pytest; exit status 77 where something is missing for that."""
import importlib.util
import sys

for needed in ("pytest", "numpy", "cuframes"):
    if importlib.util.find_spec(needed) is None:
        print(f"skipped: {sys.executable} has no {needed}")
        sys.exit(77)

import pytest

sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-W", "error", *sys.argv[1:]]))
