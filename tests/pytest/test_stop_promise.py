# SPDX-License-Identifier: MIT
"""The stop, step by step: nothing is lost that was received, and nothing holds it beyond its limits.

The letters are those of the promise: G1 in flight, G2 unread, G3 idle, G4 refused, G5 WebSockets (test_ws.py; here in the
crowd), G6 stuck, G7 signals, G8 a crowd. All of it is run by TLS with two workers, too: TEST_TLS=1 TEST_WORKERS=2.
"""

import contextlib
import os
import re
import signal
import socket
import ssl
import threading
import time

import pytest
from crowd import Crowd, raise_file_limit
from stopping import BY_TLS, TIME_FACTOR, WORKERS, Server, refuse_filters, request, until

SLACK = 2.5 * TIME_FACTOR  # seconds: the machine does other things as well
CUT = 75


@pytest.fixture
def start():
    with contextlib.ExitStack() as stack:

        def begin(*arguments, **options):
            server = Server(*arguments, **options)
            stack.callback(server.end)
            return server

        yield begin


def reported(server):
    """The figures of the report: served, connections, finished while draining, cancelled, cut."""
    found = re.findall(r'stopped: (\d+) requests served on (\d+) connections, (\d+) finished while draining, (\d+) cancelled, '
                       r'(\d+) connections cut, [\d.]+ s', server.log)  # fmt: skip
    assert len(found) == 1, server.log
    return tuple(map(int, found[0]))


# ---- the announcement ----


def test_the_announcement_turns_readiness_false_and_lets_everybody_in(start):
    server = start('--announce', '1')
    keeps = server.connect()
    assert keeps.ask('/readyz').status == 200
    signalled = server.signal()
    until(lambda: server.says('stopping: '))
    reply = keeps.ask('/readyz')
    assert (reply.status, reply.body, reply.closes) == (503, b'stopping\n', False)
    assert server.connect().ask('/hello').body == b'hello\n'
    assert keeps.ask('/hello').status == 200
    until(lambda: server.says('the door is closed'))
    assert 1 <= time.monotonic() - signalled < 1 + SLACK
    assert server.wait() == 0


@pytest.mark.parametrize('is_abstract', [False, True])
def test_the_service_manager_is_told(start, tmp_path, is_abstract):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = 'weft-%d' % os.getpid() if is_abstract else str(tmp_path / 'notify')
        manager.settimeout(10)
        manager.bind('\0' + name if is_abstract else name)
        server = start(environment={'NOTIFY_SOCKET': '@' + name if is_abstract else name})
        assert manager.recv(100) == b'READY=1'
        server.signal()
        assert manager.recv(100) == b'STOPPING=1'
        assert server.wait() == 0


def test_a_service_manager_that_is_not_there_is_said(start):
    server = start(environment={'NOTIFY_SOCKET': '/nowhere/at/all'})
    until(lambda: server.says(r'cannot send READY=1 to NOTIFY_SOCKET=/nowhere/at/all: No such file'))


def test_a_signal_right_after_the_start_is_heard(start):
    for _ in range(20):
        server = start(is_awaited=False)
        until(lambda: server.says('listening on '))
        server.signal()
        assert server.wait() == 0


def test_each_step_is_logged_once_and_in_order(start):
    server = start('--drain', '0.3', cancel=400, cleanup=1500)
    client = server.connect()
    client.send(request('/hold-out'))
    time.sleep(0.2)
    server.signal()
    assert server.wait() == CUT
    steps = re.findall(r'(?:info|warning) +\[\w+\] (stopping|the door|draining|cancelling|cutting|stopped)', server.log)
    assert steps == ['stopping', 'the door', 'draining', 'cancelling', 'cutting', 'stopped']


# ---- G1 ----


def test_what_is_in_flight_is_answered_whole(start):
    server = start()
    slow, half, long = server.connect(), server.connect(), server.connect()
    slow.send(request('/sleep/1500'))
    body = bytes(range(256)) * 4096
    half.send(request('/upload', 'POST', 'Content-Length: %d\r\n' % len(body), body[: len(body) // 2]))
    long.send(request('/download/30000000'))
    server.await_waiting(2)
    server.signal()
    until(lambda: server.says('draining: '))
    half.send(body[len(body) // 2 :])
    reply = half.reply()
    assert reply.body == b'%d %d\n' % (len(body), sum(body)) and reply.closes
    reply = long.reply()
    piece = bytes(ord('a') + i % 26 for i in range(10007))
    assert reply.body == (piece * (30000000 // 10007 + 1))[:30000000]
    reply = slow.reply()
    assert reply.body == b'slept\n' and reply.closes
    for client in (slow, half, long):
        assert client.end() == b''
    assert server.wait() == 0
    assert reported(server)[2:] == (3, 0, 0)


# ---- G2 ----


def test_what_lies_unread_when_the_signal_comes_is_answered(start):
    server = start()
    served, accepted = server.connect(), server.connect()
    assert served.ask('/hello').status == 200
    server.get('/hello')  # so `accepted` has been, too
    server.signal(signal.SIGSTOP)
    queued, late = server.connect(shakes=False), server.connect(shakes=False)  # completed by the kernel, accepted by nobody
    for client in (served, accepted) if BY_TLS else (served, accepted, queued):
        client.send(request('/hello'))
    server.signal()
    server.signal(signal.SIGCONT)
    until(lambda: server.says('draining: '))
    time.sleep(0.5)
    says_so = (queued, late) if BY_TLS else (late,)
    for client in says_so:
        client.send(request('/hello'))
    for client in (served, accepted, queued, late):
        reply = client.reply()
        assert reply.body == b'hello\n'
        assert reply.closes or client not in says_so  # the others may have been read before the signal
        assert client.end() == b''
    assert server.wait() == 0


def test_a_fresh_connection_that_says_nothing_is_closed_in_its_time(start):
    server = start(fresh=500)
    silent, begun = server.connect(), server.connect()
    begun.send(b'GET /hello HTTP/1.1\r\n')
    server.get('/hello')
    signalled = server.signal()
    assert silent.end() == b'' and 0.4 < time.monotonic() - signalled < 0.5 + SLACK
    assert begun.reply().status == 408
    assert server.wait() == 0


def test_pipelined_requests_end_with_the_one_whose_reply_says_so(start):
    server = start()
    client = server.connect()
    client.send(request('/sleep/500') + request('/hello') * 3)
    server.signal()
    reply = client.reply()
    assert reply.body == b'slept\n' and reply.closes
    assert client.end() == b''
    assert server.wait() == 0


# ---- G3 ----


def test_idle_connections_get_a_fin_within_two_seconds(start):
    server = start()
    clients = [server.connect() for _ in range(200)]
    for client in clients:
        assert client.ask('/hello').status == 200
    signalled = server.signal()
    for client in clients:
        assert client.end() == b''  # a reset would raise
    assert time.monotonic() - signalled < 2 + SLACK
    for client in clients:
        client.close()
    assert server.wait() == 0
    assert time.monotonic() - signalled < 3 + SLACK


def test_idle_clients_that_do_not_close_hold_nothing_up(start):
    server = start()
    clients = [server.connect() for _ in range(50)]
    for client in clients:
        assert client.ask('/hello').status == 200
    signalled = server.signal()
    assert server.wait() == 0
    assert time.monotonic() - signalled < 3 + SLACK
    assert [client.end() for client in clients] == [b''] * 50


# ---- G4 ----


def knock(server, host, outcomes, until_time):
    while time.monotonic() < until_time:
        try:
            client = server.connect(host, timeout=5)
        except OSError as error:
            outcomes.append(type(error).__name__)
            time.sleep(0.01)
            continue
        try:
            outcomes.append(client.ask('/hello').body)
        except (AssertionError, OSError) as error:
            outcomes.append(repr(error))
        client.close()


def test_while_it_stops_each_connect_is_served_or_refused(start):
    server = start(listen=('127.0.0.1:0',))
    holds = server.connect()
    holds.send(request('/sleep/2500'))
    outcomes = []
    end = time.monotonic() + 2.5
    threads = [threading.Thread(target=knock, args=(server, '127.0.0.%d' % (i + 1), outcomes, end)) for i in range(4)]
    threads[0].start()
    time.sleep(0.3)
    server.signal()
    for thread in threads[1:]:
        thread.start()
    assert holds.reply().body == b'slept\n'
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive(), 'a connect hangs'
    assert set(outcomes) == {b'hello\n', 'ConnectionRefusedError'}
    assert server.wait() == 0


def test_the_door_of_a_unix_socket(start, tmp_path):
    path = tmp_path / 'socket'
    server = start(listen=('127.0.0.1:0', 'http://unix:%s' % path))
    with socket.socket(socket.AF_UNIX) as queued, socket.socket(socket.AF_UNIX) as late:
        server.signal(signal.SIGSTOP)
        queued.settimeout(10)
        queued.connect(str(path))
        queued.sendall(request('/hello'))
        server.signal()
        server.signal(signal.SIGCONT)
        assert queued.recv(1000).endswith(b'hello\n')
        until(lambda: server.says('the door is closed'))
        assert not path.exists()
        with pytest.raises(FileNotFoundError):
            late.connect(str(path))
    assert server.wait() == 0


def test_the_stop_goes_on_where_the_filter_is_refused(start):
    server = start('--log-level', 'debug', before=refuse_filters)
    client = server.connect()
    client.send(request('/sleep/300'))
    server.signal()
    assert client.reply().body == b'slept\n'
    assert server.wait() == 0
    assert 'is refused (Operation not permitted)' in server.log


# ---- G6 ----

TIGHT = {'cancel': 1000, 'cleanup': 500}  # with 0.5 s to drain, 2 s in all
TIGHT_ALL = 2


def test_a_handler_that_waits_is_cancelled_and_answers_503(start):
    server = start('--drain', '0.5', **TIGHT)
    client, head = server.connect(), server.connect()
    client.send(request('/forever'))
    time.sleep(0.2)
    signalled = server.signal()
    head.send(b'GET /hello HTTP/1.1\r\n')
    for each in (client, head):
        reply = each.reply()
        assert reply.status == 503 and reply.closes
        assert each.end() == b''
        if each is client:
            assert reply.fields['retry-after'] == '1'
            assert 0.4 < time.monotonic() - signalled < 0.5 + SLACK
    assert server.wait() == CUT
    assert reported(server)[2:] == (0, 1, 0)


@pytest.mark.parametrize('name', ['hold-out', 'spin'])
def test_a_handler_that_does_not_end_cannot_hold_it(start, name):
    server = start('--drain', '0.5', '--announce', '0.2', '--debug', **TIGHT)
    client = server.connect()
    client.send(request('/' + name))
    time.sleep(0.2)
    signalled = server.signal()
    assert server.wait() == CUT
    assert 0.2 + TIGHT_ALL - 0.1 < time.monotonic() - signalled < 0.2 + TIGHT_ALL + SLACK
    assert 'the last limit of the stop has passed' in server.log
    if name == 'hold-out':
        assert reported(server)[3:] == (0, 1)
        assert re.search(r'tear-down: 2 tasks are still alive.*\n(.*\n)*.*request /hold-out', server.log)


def test_clients_that_stop_midway_cannot_hold_it(start):
    server = start('--drain', '0.5', **TIGHT)
    half, reads_nothing = server.connect(), server.connect()
    half.send(request('/upload', 'POST', 'Content-Length: 1000\r\n', b'half'))
    reads_nothing.send(request('/download/1000000000'))
    server.await_waiting(2)
    signalled = server.signal()
    reply = half.reply()
    assert (reply.status, reply.closes, reply.fields['retry-after']) == (503, True, '1')
    assert server.wait() == CUT
    assert time.monotonic() - signalled < TIGHT_ALL + SLACK
    assert reported(server)[2:4] == (0, 2)
    with pytest.raises((AssertionError, ConnectionResetError, ssl.SSLEOFError)):
        reads_nothing.reply()


def test_a_reply_that_nobody_reads_is_cut_and_counted(start):
    server = start('--drain', '0.3', **TIGHT)
    client = server.connect()
    # Some megabytes beyond what the socket takes: the handler has ended, the reply has not left.
    client.send(request('/upload', 'POST', 'Content-Length: 10\r\n', b'x' * 10))
    assert client.reply().status == 200
    sent = 0
    client.socket.setblocking(False)
    with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError):
        while sent < 50000:
            client.socket.send(request('/gate/%d' % sent))
            sent += 1
    server.get('/open')
    time.sleep(1)  # until the sockets are full
    signalled = server.signal()
    assert server.wait() == CUT
    assert time.monotonic() - signalled < 0.3 + 1 + SLACK
    assert reported(server)[4] == 1


def test_a_reply_midway_is_cut_without_a_false_end(start):
    server = start('--drain', '0.3', **TIGHT)
    client = server.connect()
    client.send(request('/begin'))
    until(lambda: client.more() and b'begun' in client.unread)
    server.signal()
    assert client.end().endswith(b'6\r\nbegun\n\r\n')
    assert server.wait() == CUT
    assert reported(server)[2:4] == (0, 1)


def test_shields_hold_for_the_cleanup_and_no_longer(start):
    server = start('--drain', '0.3', cancel=3000, cleanup=1000)
    short = server.connect()
    short.send(request('/clean-up/500'))
    time.sleep(0.1)
    server.signal()
    assert short.reply().status == 503
    assert server.wait() == CUT
    assert 'clean-up ended' in server.log

    server = start('--drain', '0.3', cancel=3000, cleanup=1000)
    long = server.connect()
    long.send(request('/clean-up/30000'))
    time.sleep(0.1)
    signalled = server.signal()
    assert long.reply().status == 503
    assert 1.2 < time.monotonic() - signalled < 1.3 + SLACK
    assert server.wait() == CUT
    assert 'clean-up was cut short' in server.log and reported(server)[2:] == (0, 1, 0)


# ---- G7 ----


def test_a_second_signal_cancels(start):
    server = start('--drain', '60')
    client = server.connect()
    client.send(request('/forever'))
    time.sleep(0.2)
    server.signal()
    until(lambda: server.says('draining: '))
    time.sleep(0.3)
    assert 'cancelling' not in server.log
    signalled = server.signal(signal.SIGINT)
    reply = client.reply()
    assert reply.status == 503 and reply.closes
    assert server.wait() == CUT
    assert time.monotonic() - signalled < SLACK


def test_a_second_signal_ends_the_announcement(start):
    server = start('--announce', '60')
    server.signal()
    until(lambda: server.says('stopping: '))
    server.signal()
    assert server.wait(10) == 0


def test_a_second_signal_shortens_the_clock_of_a_hung_loop(start):
    server = start('--drain', '60', **TIGHT)
    client = server.connect()
    client.send(request('/spin'))
    time.sleep(0.2)
    server.signal()
    signalled = server.signal(signal.SIGINT)
    assert server.wait() == CUT
    assert time.monotonic() - signalled < 1.5 + SLACK


@pytest.mark.parametrize('name', ['hold-out', 'spin'])
def test_a_third_signal_exits(start, name):
    server = start('--drain', '60', cancel=60000, cleanup=60000)
    client = server.connect()
    client.send(request('/' + name))
    time.sleep(0.2)
    for _ in range(3):
        signalled = server.signal()
        time.sleep(0.2)  # the same signal twice in a moment is one
    assert server.wait() == CUT
    assert time.monotonic() - signalled < SLACK
    assert 'for the third time' in server.log


def test_sigquit_lists_the_tasks_and_goes_on(start):
    server = start()
    client = server.connect()
    client.send(request('/sleep/1000'))
    time.sleep(0.1)
    server.signal(signal.SIGQUIT)
    until(lambda: server.says(r'request /sleep/\{ms\}.*waits for: sleep'))
    assert client.reply().body == b'slept\n'
    server.signal()
    assert server.wait() == 0


# ---- G8 ----


def test_ten_thousand_in_flight_lose_nothing(start):
    count = raise_file_limit(int(os.environ.get('TEST_CROWD', 10000)))
    server = start('--drain', '60', fresh=60000, websockets=60000)
    crowd = Crowd(server.port, count)
    try:
        crowd.begin()
        server.await_waiting(crowd.waiting)
        opener = server.connect()  # a fresh connection: its one request is served while draining
        server.get('/hello')
        server.signal(signal.SIGSTOP)
        crowd.send('comes last')
        server.signal()
        signalled = server.signal(signal.SIGCONT)
        until(lambda: server.says('draining: '))
        crowd.send('uploads')
        opener.send(request('/open'))
        crowd.finish(120)
    finally:
        crowd.close()
    assert opener.reply().body == b'open\n'
    assert server.wait(60) == 0
    print('%d in flight were answered and closed within %.2f s' % (count, time.monotonic() - signalled))
    assert crowd.faults == []
    served, connections, drained, cancelled, cut = reported(server)
    assert '%d WebSockets closed' % crowd.sockets in server.log
    assert served > count and connections > count
    assert crowd.waiting < drained <= count + 1  # what came last may have been read before the signal
    assert (cancelled, cut) == (0, 0)
