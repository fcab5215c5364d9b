# SPDX-License-Identifier: MIT
"""scripts/weft-gdb.py: the tasks of a known program, live and in a core file, and the functions in which they stand."""

import os
import pathlib
import re
import subprocess

import pytest

from run_gdb import SCRIPT, STANDING, gdb

SOURCE = 'source %s' % SCRIPT
LIVE = [SOURCE, 'break everything_stands', 'run']


@pytest.fixture(scope='module')
def live():
    return gdb([*LIVE, 'weft tasks', 'echo == all\\n', 'weft bt all', 'echo == end\\n'], STANDING)


@pytest.fixture(scope='module')
def core(tmp_path_factory):
    """(folder, core file) that the kernel has written."""
    pattern = pathlib.Path('/proc/sys/kernel/core_pattern').read_text().strip()
    if pattern.startswith('|') or '/' in pattern:
        pytest.skip('core files go elsewhere here: %s' % pattern)
    folder = tmp_path_factory.mktemp('core')
    done = subprocess.run([STANDING, 'abort'], cwd=folder, stdout=subprocess.DEVNULL, timeout=30)
    assert done.returncode == -6
    found = list(folder.iterdir())
    if not found:
        pytest.skip('the kernel writes no core file here')
    return found[0]


def check_list(listed):
    """The list of all tasks, however gdb has come to know of them."""
    lines = re.findall(r'^ +(\d+)  (\w+) +(\w+), [0-9]+\.[0-9]{3} s old, started at (\S+?):\d+(.*)$', listed, re.MULTILINE)
    assert [line[0] for line in lines[:6]] == ['1', '2', '3', '4', '5', '6'], listed
    found = {line[2] + '/' + line[1]: (os.path.basename(line[3]), line[4]) for line in lines[:6]}
    assert set(found) == {'main/running', 'passenger/parked', 'consumer/parked', 'latecomer/ready', 'main/parked',
                          'elsewhere/parked'}  # fmt: skip
    assert re.match(r', waits for: queue get \(0x[0-9a-f]+\), from wait_for_the_bus \(standing\.c:\d+\)$',
                    found['passenger/parked'][1])  # fmt: skip
    place = r'from (doze \(standing|weft_sleep \(wait)\.c:\d+\)$'  # gcc may have split the call
    assert re.match(', waits for: sleep, ' + place, found['elsewhere/parked'][1])
    assert re.match(r', waits for: join \(0x[0-9a-f]+\), from start_elsewhere', found['main/parked'][1])
    assert found['latecomer/ready'] == ('standing.c', '')


def frames(trace):
    """The names of the functions of a trace."""
    return re.findall(r'^#\d+ +(?:0x[0-9a-f]+ in )?(\w+) \(', trace, re.MULTILINE)


def in_order(names, all_names):
    rest = iter(all_names)
    return all(name in rest for name in names)


def trace_of(output, task):
    """That part of the output which is a task's trace."""
    return re.search(r'^ +\d+  \w+ +%s, .*\n((?:(?!^ +\d+  \w).*\n)*)' % task, output, re.MULTILINE).group(1)


def check_traces(traces):
    passenger = trace_of(traces, 'passenger')
    assert in_order(['weft_queue_get_', 'wait_for_the_bus', 'wait_for_the_bus', 'wait_for_the_bus', 'run_task'],
                    frames(passenger)), traces  # fmt: skip
    assert re.search(r'^#\d+ .*wait_for_the_bus \(.*\) at .*standing\.c:\d+$', passenger, re.MULTILINE)
    assert in_order(['weft_sleep', 'doze', 'elsewhere', 'run_task'], frames(trace_of(traces, 'elsewhere'))), traces
    inner, outer = trace_of(traces, 'consumer').split('     in the generator sleepy_body, which is stepped by\n')
    assert in_order(['weft_sleep', 'doze', 'sleepy_body', 'run_body'], frames(inner)), traces
    assert in_order(['step_all', 'consumer', 'run_task'], frames(outer)), traces
    assert re.search(r'^     has not begun: it will at run_task \(task\.c:\d+\)$', trace_of(traces, 'latecomer'), re.MULTILINE)
    assert 'corrupt stack' not in traces and 'Error' not in traces


def test_all_tasks_of_a_live_process_are_listed(live):
    check_list(live.split('== all')[0])


def test_parked_tasks_of_a_live_process_are_walked(live):
    check_traces(live.split('== all\n')[1])
    assert in_order(['everything_stands', 'stand', 'run_task'], frames(trace_of(live.split('== all\n')[1], 'main')))


def numberless(line):
    """A line of `weft tasks` without what differs from run to run and from build to build."""
    return re.sub(r'0x[0-9a-f]+|\d+(\.\d+)?', 'N', re.sub(r'\S*/', '', line.strip()))


def test_the_document_shows_what_is_printed(live):
    text = (SCRIPT.parents[1] / 'docs' / 'debugging.md').read_text()
    section = re.search(r'^## With gdb$(.*?)(?=^## |\Z)', text, re.MULTILINE | re.DOTALL).group(1)
    shown = [line[4:] for line in section.splitlines() if line.startswith('    ')]
    printed = [numberless(line) for line in live.splitlines()]
    listed = [line for line in shown if re.match(r' +\d', line)]
    assert len(listed) >= 4 and all(numberless(line) in printed for line in listed)
    walked = [name for name in frames('\n'.join(shown)) if name != 'weft_coro_leave']  # inlined or not
    assert len(walked) >= 4 and in_order(walked, frames(trace_of(live.split('== all\n')[1], 'passenger')))


def test_all_tasks_of_a_core_file_are_listed(core):
    check_list(gdb([SOURCE, 'core-file %s' % core, 'weft tasks'], STANDING))


def test_parked_tasks_of_a_core_file_are_walked(core):
    check_traces(gdb([SOURCE, 'core-file %s' % core, 'weft bt all'], STANDING))


def test_a_task_can_be_selected_and_let_go():
    output = gdb([*LIVE, 'weft select 2', 'bt', 'echo == back\\n', 'weft select none', 'bt', 'echo == on\\n', 'continue'],
                 STANDING)  # fmt: skip
    selected, rest = output.split('== back\n')
    back, on = rest.split('== on\n')
    assert in_order(['weft_queue_get_', 'wait_for_the_bus', 'run_task'], frames(selected))
    assert 'wait_for_the_bus' not in frames(back) and in_order(['everything_stands', 'stand'], frames(back))
    assert 'it ends with 0' in on and 'exited normally' in on  # the program was left as it was


def test_what_cannot_be_done_is_said():
    output = gdb([SOURCE, 'weft tasks', 'break main', 'break everything_stands', 'run', 'weft tasks', 'continue', 'weft bt 7',
                  'weft bt', 'weft bt -1', 'weft select 4', 'continue', 'weft bt all'], STANDING)  # fmt: skip
    words = ['there is no process, and no core file', 'There is no task.', 'there is no task 7', 'which task?', 'which task?',
             'task 4 has not begun', 'it ends with 0', 'there is no process, and no core file']  # fmt: skip
    assert in_order(words, [word for line in output.splitlines() for word in set(words) if word in line]), output
    assert 'Traceback' not in output and 'Python Exception' not in output


def test_a_program_without_weft_is_said():
    assert 'the loops cannot be found' in gdb([SOURCE, 'starti', 'weft tasks'], '/bin/true')
