# SPDX-License-Identifier: MIT
"""Each program of examples/patterns ends well, in time, and prints exactly what stands in NAME.txt beside this file."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('WEFT_BUILD', ROOT / 'build'))
EXPECTED = pathlib.Path(__file__).resolve().parent
NAMES = sorted(path.stem for path in (ROOT / 'examples' / 'patterns').glob('*.c'))


def test_programs_and_texts_belong_together():
    assert NAMES and NAMES == sorted(path.stem for path in EXPECTED.glob('*.txt'))


@pytest.mark.parametrize('name', NAMES)
def test_prints_what_is_expected(name):
    done = subprocess.run([BUILD / 'examples' / 'patterns' / name], capture_output=True, text=True, timeout=10)
    assert done.stdout == (EXPECTED / (name + '.txt')).read_text()
    assert (done.returncode, done.stderr) == (0, '')
