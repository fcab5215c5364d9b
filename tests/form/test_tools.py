# SPDX-License-Identifier: MIT
"""The tools around the code: the counting of tests, and what the scripts say and do."""

import importlib.machinery
import importlib.util
import io
import json
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load(name):
    loader = importlib.machinery.SourceFileLoader(name, str(ROOT / 'scripts' / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


counter = load('count')


def counted(**test):
    """(passed, failed, skipped, printed) of one test program's log."""
    out = io.StringIO()
    return counter.count([{'name': 'a test', 'result': 'OK', 'returncode': 0, 'stdout': '', **test}], out) + (out.getvalue(),)


@pytest.mark.parametrize('test, passed, failed, skipped', [
    (dict(stdout='1..2\nok 1 - a\nok 2 - b\n'), 2, 0, 0),
    (dict(stdout='ok 1 - a\nok 2 - b\n1..2\n'), 2, 0, 0),
    (dict(stdout='1..2\nok 1 - a\nnot ok 2 - b\n', result='FAIL', returncode=1), 1, 1, 0),
    (dict(stdout='1..2\nok 1 - a\nok 2 - b # SKIP no IPv6\n'), 1, 0, 1),
    (dict(stdout='1..3\nok 1 - a\nok 2 - b\n'), 2, 1, 0),  # fewer than planned
    (dict(stdout='ok 1 - a\n'), 1, 1, 0),  # no plan
    (dict(stdout='1..3\nok 1 - a\n', result='FAIL', returncode=-11), 1, 1, 0),  # crashed in between
    (dict(stdout='1..1\nok 1 - a\n', result='FAIL', returncode=-6), 1, 1, 0),  # crashed at its end
    (dict(stdout='1..1\nok 1 - a\n', result='ERROR', returncode=1), 1, 1, 0),  # a leak at its end
    (dict(stdout='1..2\nnot ok 1 - a\nok 2\n', result='TIMEOUT', returncode=-15), 1, 2, 0),
    (dict(stdout='1..1\nnot ok 1 - a # TO' 'DO one day\n'), 0, 1, 0),  # no excuses
    (dict(stdout='1..0 # SKIP nothing here\n', result='SKIP'), 0, 0, 1),
    (dict(stdout='ok 1 - a\nBail out! no memory\n', result='FAIL', returncode=1), 1, 1, 0),
    (dict(stdout='no TAP, and fine\n'), 1, 0, 0),
    (dict(stdout='', result='FAIL', returncode=1), 0, 1, 0),
    (dict(stdout='', result='TIMEOUT', returncode=-9), 0, 1, 0),
    (dict(stdout='', result='SKIP', returncode=77), 0, 0, 1),
    (dict(stdout='', result='INTERRUPT', returncode=None), 0, 1, 0),
    (dict(stdout=None, result='ERROR', returncode=None), 0, 1, 0),
])
def test_each_case_is_counted(test, passed, failed, skipped):
    assert counted(**test)[:3] == (passed, failed, skipped)


def test_a_failure_is_shown_with_its_name_and_output():
    cases = 'ok 1 - that was fine\n' * 300 + 'not ok 301 - the name\n# the words\n' + 'ok 302 - that was fine\n' * 300
    text = counted(stdout=cases + '1..601\n', result='FAIL', returncode=1, stderr='a trace\n')[3]
    for part in ('a test', 'the name', '# the words', 'a trace'):
        assert part in text
    assert 'that was fine' not in text


def run_count(tmp_path, tests, *arguments):
    log = tmp_path / 'log.json'
    log.write_text(''.join(json.dumps(test) + '\n' for test in tests))
    return subprocess.run([ROOT / 'scripts' / 'count', *arguments, log], capture_output=True, text=True, timeout=30)


def test_the_last_line_is_the_count(tmp_path):
    done = run_count(tmp_path, [{'name': 'a', 'result': 'OK', 'returncode': 0, 'stdout': '1..2\nok 1\nok 2\n'}])
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, '2 passed, 0 failed')


def test_a_run_of_no_test_fails(tmp_path):
    done = run_count(tmp_path, [])
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, '0 passed, 1 failed')


def test_a_run_of_skipped_tests_only_fails(tmp_path):
    done = run_count(tmp_path, [{'name': 'a', 'result': 'SKIP', 'returncode': 77, 'stdout': ''}])
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, '0 passed, 1 failed')


def test_a_missing_log_is_a_failure(tmp_path):
    done = subprocess.run([ROOT / 'scripts' / 'count', tmp_path / 'none'], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, '0 passed, 1 failed')


def test_a_failed_run_without_a_failed_case_is_a_failure(tmp_path):
    tests = [{'name': 'a', 'result': 'OK', 'returncode': 0, 'stdout': 'ok 1\n1..1\n'}]
    done = run_count(tmp_path, tests, '--status', '1')
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, '1 passed, 1 failed')


CASES_OF_ALL_KINDS = '''
import pytest

def test_passes(): pass

def test_fails(): assert 1 == 2, 'the reason'

@pytest.mark.skip(reason='no time')
def test_is_skipped(): pass

@pytest.fixture
def broken(): raise RuntimeError('the fixture')

def test_has_a_broken_fixture(broken): pass
'''


def run_tap(directory, text):
    (directory / 'test_made_up.py').write_text(text)
    command = ['/usr/bin/python3', ROOT / 'tests' / 'tap_pytest.py', '--rootdir', directory, directory]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=directory)
    return counter.tap_cases(done.stdout), done


def test_pytest_reports_every_case_in_tap(tmp_path):
    (cases, complaint), done = run_tap(tmp_path, CASES_OF_ALL_KINDS)
    assert complaint is None
    assert sorted(case.outcome for case in cases) == ['failed', 'failed', 'passed', 'skipped']
    assert 'the reason' in done.stdout and 'the fixture' in done.stdout and 'no time' in done.stdout
    assert done.returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ['test_made_up.py']


def test_pytest_that_cannot_read_a_file_fails(tmp_path):
    (cases, _), done = run_tap(tmp_path, 'import nothing_of_this_name\n')
    assert [case.outcome for case in cases] == ['failed'] and done.returncode != 0


def test_pytest_that_finds_no_test_fails(tmp_path):
    (cases, _), done = run_tap(tmp_path, '')
    assert [case.outcome for case in cases] == ['failed'] and done.returncode != 0


def test_what_tests_need_is_found():
    needed = load('needed').needed
    tests = [{'name': 'a', 'depends': ['x', 'y']}, {'name': 'b', 'depends': ['y']}, {'name': 'c', 'depends': ['z']}]
    targets = [{'id': name, 'filename': ['/build/' + name]} for name in 'xyz']
    assert needed(['weft:unit / a', 'b'], tests, targets) == ['/build/x', '/build/y']
    with pytest.raises(KeyError):
        needed(['weft:unit / d'], tests, targets)


SCRIPTS = ['run', 'test', 'sanitize', 'install-packages']


@pytest.mark.parametrize('script', SCRIPTS)
def test_a_script_explains_itself(script):
    done = subprocess.run([ROOT / 'scripts' / script, '--help'], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and done.stdout.startswith('Usage: scripts/' + script) and not done.stderr


@pytest.mark.parametrize('script', ['sanitize', 'install-packages'])
def test_a_script_refuses_what_it_does_not_know(script):
    done = subprocess.run([ROOT / 'scripts' / script, 'nonsense'], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and 'Usage' in done.stderr


def test_every_script_can_be_executed():
    for path in [*(ROOT / 'scripts').iterdir(), ROOT / '.ci' / 'run']:
        is_program = path.suffix == '' and path.is_file()
        assert not is_program or path.stat().st_mode & 0o111, '%s is not executable' % path


def run_packages(tmp_path, installed, words):
    """Runs `words` with scripts/packages.sh on a made-up system that has the packages `installed`; apt-get only talks."""
    tools = {
        'dpkg-query': 'for name; do :; done\ncase " %s " in *" $name "*) echo "ii ";; *) exit 1;; esac' % ' '.join(installed),
        'apt-get': 'echo "apt-get $*" >>"$APT_LOG"',
        'apt-cache': 'case $2 in libllhttp-dev) exit 100;; esac',
        'sudo': 'exec "$@"',
    }
    for name, text in tools.items():
        (tmp_path / name).write_text('#!/bin/sh\n%s\n' % text)
        (tmp_path / name).chmod(0o755)
    log = tmp_path / 'apt.log'
    log.write_text('')
    environment = {'PATH': '%s:/usr/bin:/bin' % tmp_path, 'APT_LOG': str(log)}
    done = subprocess.run(['sh', '-euc', '. scripts/packages.sh; ' + words], env=environment, cwd=ROOT, capture_output=True,
                          text=True, timeout=30)
    return done, log.read_text().splitlines()


BUILD = ['gcc', 'libc6-dev', 'meson', 'ninja-build', 'pkg-config', 'libuv1-dev', 'libjansson-dev', 'libdw-dev', 'libssl-dev',
         'libwslay-dev', 'zlib1g-dev', 'node-llhttp']


def test_nothing_is_installed_when_nothing_is_missing(tmp_path):
    done, apt = run_packages(tmp_path, BUILD, 'install_packages build')
    assert (done.returncode, done.stdout, done.stderr, apt) == (0, '', '', [])


def test_what_is_missing_is_said_and_installed_without_asking(tmp_path):
    done, apt = run_packages(tmp_path, BUILD[1:-1], 'install_packages build')
    assert done.returncode == 0, done.stderr
    assert 'Missing packages: gcc' in done.stdout
    assert apt == ['apt-get update -qq', 'apt-get install -y -qq --no-install-recommends gcc node-llhttp']


def test_an_unknown_group_is_refused(tmp_path):
    done, apt = run_packages(tmp_path, BUILD, 'packages_of nonsense')
    assert done.returncode != 0 and 'nonsense' in done.stderr and apt == []
