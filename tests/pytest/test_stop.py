# SPDX-License-Identifier: MIT
"""Stopping, in real time: signals, limits, the report, and handlers that misbehave."""

import re
import signal
import socket
import subprocess
import time

import pytest

from conftest import SLOW, URL, is_readable, read_all, read_reply

GET = b'GET %s HTTP/1.1\r\nHost: a\r\n\r\n'
REPORT = re.compile(r'stopped: (\d+) requests served on (\d+) connections, (\d+) finished while draining, (\d+) cancelled, '
                    r'(\d+) connections cut, (\d+\.\d+) s')


def report(server):
    """The numbers of the one report line."""
    found = REPORT.findall(server.log)
    assert len(found) == 1, server.log
    return [float(number) for number in found[0]]


def asking(server, path, *more):
    """A connection with a request in flight."""
    sock = server.connect()
    sock.sendall(GET % path + b''.join(more))
    time.sleep(0.15 * SLOW)  # it has been read by then
    return sock


def started(start, name='demo', *arguments):
    server = start(name, '--listen', '127.0.0.1:0', *arguments)
    server.wait_log(URL)
    return server


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_idle(start, number):
    demo = started(start)
    assert demo.stop(number) == 0
    assert report(demo)[:5] == [0, 0, 0, 0, 0] and report(demo)[5] < 0.5 * SLOW


def test_idle_connections_end_without_a_reset(start):
    demo = started(start)
    used = [demo.connect() for _ in range(20)]
    for sock in used:
        sock.sendall(GET % b'/plaintext')
        read_reply(sock)
    demo.send(signal.SIGTERM)
    for sock in used:
        assert read_all(sock) == b''  # an end, not a reset
    assert demo.wait() == 0 and report(demo)[:5] == [20, 20, 0, 0, 0]


def test_in_flight_is_answered(start):
    demo = started(start)
    ms = b'%d' % int(700 * SLOW)
    sock = asking(demo, b'/sleep/' + ms, GET % b'/plaintext')
    upload = demo.connect()
    upload.sendall(b'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc')
    time.sleep(0.1)
    demo.send(signal.SIGTERM)
    time.sleep(0.2)
    upload.sendall(b'def')
    shown = read_all(sock)
    assert shown.startswith(b'HTTP/1.1 200 OK\r\n') and b'\r\nConnection: close\r\n' in shown
    assert shown.endswith(b'\r\n\r\nslept ' + ms + b' ms\n')
    assert read_all(upload).endswith(b'\r\n\r\nabcdef')
    sock.close()
    upload.close()
    assert demo.wait() == 0 and report(demo)[:5] == [2, 2, 2, 0, 0]
    with pytest.raises(OSError):
        demo.connect(1)


def test_connections_that_were_just_made_are_served(start):
    demo = started(start)
    socks = [demo.connect() for _ in range(50)]
    time.sleep(0.1)
    demo.send(signal.SIGTERM)
    time.sleep(0.2)
    for sock in socks:
        sock.sendall(GET % b'/plaintext')
    for sock in socks:
        assert read_all(sock).endswith(b'\r\n\r\nHello, World!')
        sock.close()
    assert demo.wait() == 0 and report(demo)[0] == 50


def test_drain_is_over(start):
    demo = started(start, 'demo', '--drain', '0.2')
    sock = asking(demo, b'/sleep/60000')
    idle = demo.connect()
    began = time.monotonic()
    demo.send(signal.SIGTERM)
    shown = read_all(sock)
    assert shown.startswith(b'HTTP/1.1 503 ') and b'\r\nRetry-After: ' in shown
    assert time.monotonic() - began < 1 * SLOW
    sock.close()
    assert demo.wait() == 75 and time.monotonic() - began < 1.5 * SLOW
    assert report(demo)[3:5] == [1, 0]
    idle.close()


def test_a_client_that_does_not_read(start):
    demo = started(start, 'demo', '--drain', '0.2')
    sock = demo.connect()
    sock.sendall(GET % b'/download/50000000')
    time.sleep(0.3)
    began = time.monotonic()
    demo.send(signal.SIGTERM)
    assert demo.wait(15) == 75 and time.monotonic() - began < 7 * SLOW
    assert REPORT.search(demo.log)
    sock.close()


def test_second_signal_cancels(start):
    demo = started(start)
    sock = asking(demo, b'/sleep/60000')
    began = time.monotonic()
    demo.send(signal.SIGINT)
    assert not is_readable(sock, 0.4)
    demo.send(signal.SIGINT)
    assert read_all(sock).startswith(b'HTTP/1.1 503 ')
    sock.close()
    assert demo.wait() == 75 and time.monotonic() - began < 2 * SLOW
    assert report(demo)[3:5] == [1, 0]


def test_third_signal_exits(start):
    server = started(start, 'misbehave', '--drain', '60')
    sock = asking(server, b'/spin')
    for _ in range(2):
        server.send(signal.SIGINT)
        time.sleep(0.1)
        assert server.process.poll() is None
    began = time.monotonic()
    server.send(signal.SIGINT)
    assert server.wait() == 75 and time.monotonic() - began < 0.5 * SLOW
    assert server.log.count('third time') == 1
    sock.close()


def test_sigquit_lists_the_tasks(start):
    demo = started(start)
    ms = b'%d' % int(1000 * SLOW)
    sock = asking(demo, b'/sleep/' + ms)
    demo.send(signal.SIGQUIT)
    demo.wait_log(r'parked +request /sleep/\{ms\}.*started at \S*demo\.c:\d+.*waits for: sleep')
    assert read_reply(sock)[1] == b'slept ' + ms + b' ms\n'
    assert demo.stop() == 0


@pytest.mark.parametrize('flags, words', [(['--debug'], r'; it is in:\n    '), ([], r'\n')], ids=['debug', 'always'])
def test_who_holds_the_loop_is_named(start, flags, words):
    server = started(start, 'misbehave', '--drain', '0.1', *flags)
    sock = asking(server, b'/spin')
    server.wait_log(r'weft: task request /spin started at \S*misbehave\.c:\d+ holds the loop, for \d+ ms so far' + words)
    assert server.stop() == 75
    sock.close()


def test_clean_up_under_a_shield(start):
    server = started(start, 'misbehave', '--drain', '0.1')
    sock = asking(server, b'/shielded')
    server.send(signal.SIGTERM)
    assert read_all(sock).startswith(b'HTTP/1.1 503 ')
    sock.close()
    assert server.wait() == 75 and server.log.count('cleaned up\n') == 1 and report(server)[3:5] == [1, 0]


def test_a_handler_that_never_waits(start):
    server = started(start, 'misbehave', '--drain', '0.2')
    sock = asking(server, b'/spin')
    began = time.monotonic()
    server.send(signal.SIGTERM)
    assert server.wait() == 75
    assert 2.3 < time.monotonic() - began < 2.4 + 1 * SLOW  # drain, cancel and cleanup: 0.2 + 0.6 + 1.6 s
    sock.close()


def test_a_handler_that_heeds_nothing(start):
    server = started(start, 'misbehave', '--drain', '0.2')
    sock = asking(server, b'/stubborn')
    began = time.monotonic()
    server.send(signal.SIGTERM)
    assert server.wait() == 75 and time.monotonic() - began < 2.4 + 1 * SLOW
    assert 'request /stubborn' in server.log  # it is named in the list of what is still there
    sock.close()


def test_stop_by_a_call(start):
    server = started(start, 'misbehave')
    sock = asking(server, b'/stop')
    assert read_reply(sock)[1] == b'stopping'
    sock.close()
    assert server.wait() == 0 and report(server)[0] == 1


def test_stack_overflow(start):
    server = started(start, 'misbehave')
    sock = asking(server, b'/overflow/1')
    status = server.wait()
    if SLOW == 1:  # else the sanitizer reports it in its own way
        assert status == -signal.SIGSEGV
        assert re.search(r'stack overflow in task request \(route /overflow/\{depth\}\)', server.log)
    assert status != 0
    sock.close()


def test_wrk(start):
    demo = started(start)
    out = subprocess.run(['wrk', '-c', '64', '-d', '2', '-t', '1', demo.url + '/hello/World'], check=True,
                         stdout=subprocess.PIPE).stdout.decode()
    assert 'Requests/sec' in out and 'Socket errors' not in out and 'Non-2xx' not in out, out
    running = subprocess.Popen(['wrk', '-c', '64', '-d', '2', '-t', '1', demo.url + '/hello/World'], stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        demo.send(signal.SIGINT)
        assert demo.wait() == 0
    finally:
        running.kill()
        running.wait()
    numbers = report(demo)
    assert numbers[0] > 1000 and numbers[3:5] == [0, 0] and numbers[5] < 3 * SLOW
    assert ' error ' not in demo.log and ' warning ' not in demo.log
