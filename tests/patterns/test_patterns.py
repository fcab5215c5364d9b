# SPDX-License-Identifier: MIT
"""Each program of examples/patterns ends well, in time, and prints exactly what stands in NAME.txt beside this file, where <N>
is any number: one that was measured."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('WEFT_BUILD', ROOT / 'build'))
EXPECTED = pathlib.Path(__file__).resolve().parent
NAMES = sorted(path.stem for path in (ROOT / 'examples' / 'patterns').glob('*.c'))


def test_programs_and_texts_belong_together():
    assert NAMES and NAMES == sorted(path.stem for path in EXPECTED.glob('*.txt'))


def agrees(printed, expected):
    pattern = re.escape(expected).replace('<N>', r'\d+(\.\d+)?')
    return re.fullmatch(pattern, printed) is not None


def test_numbers_and_nothing_else_may_differ():
    assert agrees('1 of 2.5 ms\n', '1 of <N> ms\n')
    assert not agrees('2 of 2.5 ms\n', '1 of <N> ms\n') and not agrees('1 of  ms\n', '1 of <N> ms\n')
    assert not agrees('1\n2\n', '1\n') and not agrees('axb\n', 'a.b\n')


@pytest.mark.parametrize('name', NAMES)
def test_prints_what_is_expected(name):
    done = subprocess.run([BUILD / 'examples' / 'patterns' / name], capture_output=True, text=True, timeout=10)
    expected = (EXPECTED / (name + '.txt')).read_text()
    assert agrees(done.stdout, expected), done.stdout
    assert (done.returncode, done.stderr) == (0, '')
