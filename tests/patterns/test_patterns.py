# SPDX-License-Identifier: MIT
"""Each program of examples/patterns ends well, in time, and prints exactly what stands in NAME.txt beside this file, where <N>
is any number: one that was measured. What it logs, on standard error, stands in NAME.log, without the folders of source files,
and with <T> for the time; without that file it logs nothing."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('WEFT_BUILD', ROOT / 'build'))
EXPECTED = pathlib.Path(__file__).resolve().parent
NAMES = sorted(path.stem for path in (ROOT / 'examples' / 'patterns').glob('*.c'))


def test_programs_and_texts_belong_together():
    assert NAMES and NAMES == sorted(path.stem for path in EXPECTED.glob('*.txt') if not path.name.endswith('.py.txt'))
    assert {path.name[:-len('.py.txt')] for path in EXPECTED.glob('*.py.txt')} <= set(TWINS)


PLACES = r'( +(in )?\S.*\n)+'  # lines that say where in the program: what they can say depends on how it was built


def agrees(printed, expected):
    pattern = re.escape(expected).replace('<N>', r'\d+(\.\d+)?').replace('<T>', r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z')
    pattern = pattern.replace('<A>', '0x[0-9a-f]+').replace('<places>\\\n', PLACES)
    return re.fullmatch(pattern, printed) is not None


def without_folders(text):
    return re.sub(r'[\w./-]*/(\w+\.[ch]:\d+)', r'\1', text)


def test_numbers_and_nothing_else_may_differ():
    assert agrees('1 of 2.5 ms\n', '1 of <N> ms\n')
    assert not agrees('2 of 2.5 ms\n', '1 of <N> ms\n') and not agrees('1 of  ms\n', '1 of <N> ms\n')
    assert not agrees('1\n2\n', '1\n') and not agrees('axb\n', 'a.b\n')
    assert agrees('2026-11-25T23:03:26.290Z error\n', '<T> error\n') and not agrees('2026-11-25 error\n', '<T> error\n')
    assert agrees('(0x1f)\n  in f at a.c:1\n  in g\nend\n', '(<A>)\n<places>\nend\n')
    assert not agrees('end\n', '<places>\nend\n')
    assert without_folders('in ../a/b.c:7: a/b') == 'in b.c:7: a/b'


@pytest.mark.parametrize('name', NAMES)
def test_prints_what_is_expected(name):
    done = subprocess.run([BUILD / 'examples' / 'patterns' / name], capture_output=True, text=True, timeout=10)
    expected = (EXPECTED / (name + '.txt')).read_text()
    assert agrees(without_folders(done.stdout), expected), done.stdout
    log = EXPECTED / (name + '.log')
    assert agrees(without_folders(done.stderr), log.read_text() if log.exists() else ''), done.stderr
    assert done.returncode == 0


# ---- and so do their twins, the same programs for Python's asyncio; what one prints otherwise stands in NAME.py.txt ----

TWINS = sorted(path.stem for path in (ROOT / 'examples' / 'patterns').glob('*.py'))
NOT_RUN = {'r5_parallel'}  # it takes Python half a minute
IN_ANY_ORDER = {'t5_first_error'}  # TaskGroup cancels its tasks in the order of a set


@pytest.fixture(scope='module', autouse=True)
def twins(tmp_path_factory):
    """All in one process, which imports asyncio once, and beside the other tests: they mostly sleep."""
    paths = [str(ROOT / 'examples' / 'patterns' / (name + '.py')) for name in TWINS if name not in NOT_RUN]
    printed = tmp_path_factory.mktemp('twins') / 'printed.json'
    with printed.open('w') as file:
        process = subprocess.Popen([sys.executable, EXPECTED / 'run_twins.py', *paths], stdout=file, stderr=subprocess.DEVNULL)
    yield process, printed
    process.kill()
    process.wait()


@pytest.fixture(scope='module')
def printed_by_twins(twins):
    process, printed = twins
    assert process.wait(timeout=100) == 0
    return json.loads(printed.read_text())


@pytest.mark.parametrize('name', TWINS)
def test_twin_prints_the_same(name, printed_by_twins):
    if name in NOT_RUN:
        compile((ROOT / 'examples' / 'patterns' / (name + '.py')).read_text(), name, 'exec')
        return
    own = EXPECTED / (name + '.py.txt')
    expected, printed = (own if own.exists() else EXPECTED / (name + '.txt')).read_text(), printed_by_twins[name]
    if name in IN_ANY_ORDER:
        expected, printed = (''.join(sorted(text.splitlines(True))) for text in (expected, printed))
    assert agrees(printed, expected), printed
