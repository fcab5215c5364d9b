# SPDX-License-Identifier: MIT
"""Runs the Python programs that are named, one after the other, and prints a JSON object: name -> what it printed."""

import contextlib
import io
import json
import pathlib
import runpy
import sys
import traceback

printed = {}
for path in map(pathlib.Path, sys.argv[1:]):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            runpy.run_path(str(path), run_name='__main__')
        except Exception:  # the others run all the same
            traceback.print_exc(file=out)
    printed[path.stem] = out.getvalue()
json.dump(printed, sys.stdout)
