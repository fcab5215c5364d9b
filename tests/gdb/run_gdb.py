# SPDX-License-Identifier: MIT
"""gdb in batch mode over a program."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
STANDING = os.environ.get('WEFT_STANDING', str(ROOT / 'build' / 'tests' / 'gdb' / 'standing'))
SCRIPT = ROOT / 'scripts' / 'weft-gdb.py'


def gdb(commands, *arguments, cwd=None):
    """What gdb prints for the commands; it ends with the last, and so does a program that it has started."""
    options = [word for command in ['set pagination off', 'set confirm off', 'set width 0', 'set debuginfod enabled off',
                                    *commands] for word in ('-ex', command)]  # fmt: skip
    done = subprocess.run(['gdb', '--batch', '-nx', *options, '--args', *map(str, arguments)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, cwd=cwd)  # fmt: skip
    return done.stdout
