# SPDX-License-Identifier: MIT
"""Hooks that fail, that take long, or that never end: whenever a stop is asked for, it comes."""

import re
import signal
import time

import pytest

from conftest import SLOW, URL, read_reply

REQUEST = b'GET %s HTTP/1.1\r\nHost: a\r\n\r\n'
FOREVER = '60000'
TIGHT = {'CANCEL': '300', 'CLEANUP': '300'}  # with 0.1 s to drain, 0.7 s in all


@pytest.fixture
def crew(start):
    def start_crew(workers=2, drain='0.1', **env):
        return start('crew', '--listen', '127.0.0.1:0', '--workers', str(workers), '--drain', drain, env={**TIGHT, **env})

    return start_crew


@pytest.mark.parametrize('variable', ['FAIL_START', 'FAIL_WORKER'])
def test_a_hook_that_fails(crew, variable):
    server = crew(**{variable: '1'})
    assert server.wait() == 1 and 'Input/output error' in server.log
    assert ('hook: stop after 0' in server.log) == (variable == 'FAIL_WORKER')


@pytest.mark.parametrize('workers', [1, 2])
@pytest.mark.parametrize('variable', ['SLEEP_START', 'SLEEP_WORKER_0'])
def test_a_stop_cuts_the_start_short(crew, variable, workers):
    server = crew(workers, **{variable: FOREVER})
    server.wait_log('hook: start')
    time.sleep(0.1 * SLOW)
    server.send(signal.SIGTERM)
    assert server.wait() == 0
    assert 'stopped before it listened' in server.log and 'listening on' not in server.log
    assert ('hook: stop after 0' in server.log) == (variable != 'SLEEP_START')  # of what has not started nothing is stopped
    assert ' error ' not in server.log


@pytest.mark.parametrize('count', [1, 2])
def test_a_stop_cuts_the_start_of_another_worker_short(crew, count):
    """The first one listens by then: it stops as ever."""
    server = crew(SLEEP_WORKER_1=FOREVER)
    server.wait_log('hook: worker 0 starts')
    time.sleep(0.1 * SLOW)
    for _ in range(count):
        server.send(signal.SIGINT)
        time.sleep(0.01)  # the same signal twice in a moment is one
    assert server.wait() == 0
    assert re.search(r'hook: worker 0 stops after 0\n(.*\n)*.*hook: stop after 0\n', server.log)
    assert len(re.findall('stopped: 0 requests', server.log)) == 1 and 'worker 1' not in server.log
    assert ' error ' not in server.log


def test_a_call_cuts_the_start_short(crew):
    server = crew(STOP_IN_START='1', SLEEP_START=FOREVER)
    assert server.wait() == 0 and 'stopped before it listened' in server.log


def test_the_tasks_of_a_start_are_listed(crew):
    server = crew(SLEEP_START=FOREVER)
    server.wait_log('hook: start')
    time.sleep(0.1 * SLOW)
    server.send(signal.SIGQUIT)
    server.wait_log(r'worker 0:\nparked +serve, .* waits for: sleep, 5\d\.\d+ s left\n')
    assert server.stop() == 0


def test_what_stops_something_has_what_is_left_of_the_time(crew):
    server = crew(SLEEP_STOP=FOREVER)
    server.wait_log(URL)
    began = time.monotonic()
    assert server.stop() == 75
    assert 0.6 < time.monotonic() - began < 0.7 + 1 * SLOW
    assert 'the last limit of the stop has passed' in server.log and 'stopped: 0 requests' in server.log


def test_an_error_in_the_background_of_a_worker_does_not_hold_the_stop(crew):
    """That worker ends before the first one."""
    server = crew(drain='20', FAIL_LATER='1')
    server.wait_log(URL)
    time.sleep(0.3 * SLOW)
    sock = server.connect()
    while sock.sendall(REQUEST % b'/') or read_reply(sock)[1] == b'1 1':
        sock.close()
        sock = server.connect()
    with sock:
        sock.sendall(REQUEST % b'/late/400')
        time.sleep(0.1)
        server.send(signal.SIGTERM)
        assert read_reply(sock)[1]
    assert server.wait(5) == 1
    assert re.search('worker 1 has ended with an error: Input/output error', server.log)
