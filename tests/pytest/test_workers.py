# SPDX-License-Identifier: MIT
"""Several workers: who answers, what they share, a worker that is held, and how they stop."""

import collections
import re
import resource
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import SLOW, URL, is_readable, read_reply
from tls_tools import client_context

REQUEST = b'GET %s HTTP/1.1\r\nHost: a\r\n\r\n'


@pytest.fixture
def crew(start):
    def start_crew(*flags, workers=2, **options):
        server = start('crew', '--listen', '127.0.0.1:0', '--workers', str(workers), *flags, **options)
        server.wait_log(URL)
        return server
    return start_crew


@pytest.fixture(params=['plain', 'tls'])
def any_crew(crew, request):
    """By TLS too: connect() shakes hands."""
    if request.param == 'plain':
        return crew

    def start_crew(*flags, **options):
        server = crew('--tls-self-signed', *flags, **options)
        context, connect = client_context(), server.connect
        server.connect = lambda: context.wrap_socket(connect(), server_hostname='localhost')
        return server
    return start_crew


def ask(sock, path=b'/'):
    sock.sendall(REQUEST % path)
    head, body = read_reply(sock)
    assert head.startswith(b'HTTP/1.1 200 ')
    return body.decode()


def once(server, path=b'/'):
    with server.connect() as sock:
        return ask(sock, path)


def one_of_each(server):
    """A connection to each of two workers."""
    found = {}
    for _ in range(100):
        sock = server.connect()
        number = ask(sock).split()[0]
        if number in found:
            sock.close()
        found.setdefault(number, sock)
        if len(found) == 2:
            return found['0'], found['1']
    raise AssertionError('one worker serves all')


def test_the_signals_of_the_stop_are_no_worker_s(crew):
    server = crew()
    for number, sock in zip('01', one_of_each(server)):
        with sock:
            assert ask(sock, b'/signal') == f'{number} refused'
    assert server.stop() == 0


def test_both_serve_and_have_their_own_state(crew):
    server = crew()
    seen = collections.Counter(once(server) for _ in range(200))
    assert len(seen) == 2 and min(seen.values()) > 40  # each connection goes to one or the other by a hash
    assert {answer.split()[0] for answer in seen} == {'0', '1'}
    assert server.stop() == 0
    assert re.search(r'stopped: 200 requests served on 200 connections', server.log)
    hooks = re.findall(r'hook: (.*)', server.log)
    assert hooks[0] == 'start' and hooks[-1] == 'stop after 200'
    assert sorted(hooks[1:3]) == ['worker 0 starts', 'worker 1 starts']
    stops = [int(hook.split()[-1]) for hook in hooks[3:-1]]
    assert len(stops) == 2 and sum(stops) == 200


@pytest.mark.parametrize('count', [10, 64, 400])
def test_each_has_its_share_of_the_connections(crew, count):
    """Within a tenth, or one. The hash alone gives as good a share of 64 to every third crowd, of 10 to every fourth."""
    server = crew()
    for _ in range(4):
        crowd = [server.connect() for _ in range(count)]
        shares = collections.Counter(ask(sock).split()[0] for sock in crowd)
        assert abs(shares['0'] - count / 2) <= max(count / 20, 1), shares
        for sock in crowd:
            sock.close()
        time.sleep(0.1 * SLOW)  # until both have seen that
    assert server.stop() == 0


def test_connections_that_come_and_go_stay_where_they_are(crew):
    """All but those of the first beats, before a worker knows of what kind they are."""
    server = crew()
    out = subprocess.run(['wrk', '-c', '16', '-t', '1', '-d', '3', '-H', 'Connection: close', server.url + '/'],
                         check=True, capture_output=True, text=True, timeout=60 * SLOW).stdout  # fmt: skip
    assert 'Socket errors' not in out, out
    passed_on, connections = map(int, once(server, b'/passed-on').split())
    assert connections > 1000 and passed_on < connections / 10
    assert server.stop() == 0


def test_as_many_as_there_are_processors(crew):
    server = crew(workers='auto')
    once(server)
    assert server.stop() == 0


@pytest.mark.parametrize('value', ['0', 'x', '-1', '257', ''])
def test_bad_numbers(start, value):
    server = start('crew', '--workers', value)
    assert server.wait() == 2 and '--workers' in server.log


def test_an_address_in_use_is_refused(crew, start):
    server = crew()
    second = start('crew', '--workers', '2', '--listen', '127.0.0.1:%d' % server.port)
    assert second.wait() == 1 and 'Address already in use' in second.log
    assert once(server)


def test_a_worker_that_is_held(any_crew):
    """Its queue is served by the other; what it had accepted waits, and is not lost; and who holds it is named."""
    server = any_crew()
    held, _ = one_of_each(server)
    kept = server.connect()
    while ask(kept).split()[0] != '0':
        kept.close()
        kept = server.connect()
    held.sendall(REQUEST % b'/block/4000')
    started = time.monotonic()
    time.sleep(0.02)  # nobody knows yet: what is passed on to it is taken back from its mail
    kept.sendall(REQUEST % b'/')
    answers, visitors = [], []

    def visit():
        sock = server.connect()
        visitors.append(sock)  # it stays: so one worker soon has more than its share
        answers.append((ask(sock).split()[0], time.monotonic() - started))

    threads = [threading.Thread(target=visit) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 40
    if SLOW == 1:
        assert all(number == '1' and after < 3.8 for number, after in answers), answers
    assert re.search(r'worker 0 has not turned for .* s: worker 1 accepts in its place', server.log)
    server.wait_log(r'weft: task request /block/\{ms:int\} started at \S+ holds the loop, for [1-3]\d\d\d ms so far')
    assert read_reply(held)[1].startswith(b'0') and read_reply(kept)[1].startswith(b'0')
    server.wait_log(r'task request /block/\{ms:int\} started at \S+ held the loop for [3-6]\.\d+ s')
    for sock in visitors:
        sock.close()
    deadline = time.monotonic() + 10 * SLOW
    while once(server).split()[0] != '0':  # it accepts for itself again
        assert time.monotonic() < deadline
    assert server.stop() == 0


def few_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (180, 180))  # so 98 connections


def not_answered(crowd):
    """Those of a crowd that all ask."""
    for sock in crowd:
        sock.sendall(REQUEST % b'/')
    time.sleep(0.5)
    return [sock for sock in crowd if not is_readable(sock, 0)]


def test_the_cap_is_one_for_all(crew):
    server = crew(limits=few_files)
    crowd = [server.connect() for _ in range(140)]
    server.wait_log('98 connections are open, which is the limit')
    assert 40 <= len(not_answered(crowd)) <= 50  # two that accept at once may pass it by one each
    for sock in crowd:
        sock.close()
    assert once(server) and once(server)
    assert server.stop() == 0


def test_the_cap_is_kept_by_who_accepts_for_others(crew):
    server = crew(limits=few_files)
    held, other = one_of_each(server)
    held.sendall(REQUEST % b'/block/%d' % (10000 * SLOW))
    server.wait_log('worker 1 accepts in its place')
    crowd = [server.connect() for _ in range(60)]  # of both queues
    server.wait_log('worker 1 accepts in its place')
    more = [server.connect() for _ in range(80)]
    server.wait_log('98 connections are open, which is the limit')
    waiting = not_answered(crowd + more)
    assert 43 <= len(waiting) <= 48  # with the two of before
    for sock in set(crowd + more) - set(waiting):
        sock.close()
    assert all(is_readable(sock, 1 * SLOW) for sock in waiting)  # accepted again: from the queue of the other, too
    assert ask(other, b'/release').startswith('1')
    assert read_reply(held)[1].startswith(b'0')
    assert server.stop() == 0


def test_a_process_that_was_stopped_has_no_worker_that_is_held(crew):
    server = crew()
    server.send(signal.SIGSTOP)
    time.sleep(1.5)
    server.send(signal.SIGCONT)
    time.sleep(1)
    assert once(server) and 'has not turned' not in server.log
    assert server.stop() == 0


def test_a_unix_socket(crew, tmp_path):
    path = str(tmp_path / 'socket')
    server = crew('--listen', 'unix:' + path)

    def visit():
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10 * SLOW)
            sock.connect(path)
            return ask(sock)

    assert all(visit() for _ in range(50))
    assert server.stop() == 0 and not (tmp_path / 'socket').exists()


def test_what_is_in_flight_is_answered(crew, tmp_path):
    log = tmp_path / 'access.log'
    server = crew('--access-log', str(log))
    one, other = one_of_each(server)
    with server.connect() as idle:
        ask(idle)
        for sock in (one, other):
            sock.sendall(REQUEST % b'/late/700')
        time.sleep(0.2)
        server.send(signal.SIGTERM)
        server.wait_log('the door is closed')
        for sock in (one, other):
            head, body = read_reply(sock)
            assert b'\r\nConnection: close' in head and body
            assert sock.recv(1) == b''
        assert idle.recv(1) == b''
    assert server.wait() == 0
    assert re.search(r'2 finished while draining, 0 cancelled, 0 connections cut', server.log)
    lines = log.read_text().splitlines()
    assert len(lines) >= 5 and all(re.match(r'127\.0\.0\.1 - - \[.*\] "GET /\S* HTTP/1\.1" 200 ', line) for line in lines)


def test_the_second_signal_cancels_in_all(crew):
    server = crew()
    one, other = one_of_each(server)
    for sock in (one, other):
        sock.sendall(REQUEST % b'/late/60000')
    time.sleep(0.2)
    server.send(signal.SIGTERM)
    server.wait_log('draining')
    server.send(signal.SIGTERM)
    for sock in (one, other):
        assert read_reply(sock)[0].startswith(b'HTTP/1.1 503')
    assert server.wait() == 75 and '2 cancelled' in server.log


def test_a_worker_that_does_not_stop_is_cut(crew):
    server = crew('--drain', '0.1', env={'CANCEL': '300', 'CLEANUP': '300'})
    one, other = one_of_each(server)
    other.sendall(REQUEST % b'/block/60000')
    time.sleep(0.2)
    server.send(signal.SIGTERM)
    server.send(signal.SIGTERM)
    assert server.wait(20) == 75


def test_tasks_of_all_are_listed(crew):
    server = crew()
    one, other = one_of_each(server)
    for sock in (one, other):
        sock.sendall(REQUEST % b'/late/1000')
    time.sleep(0.2)
    server.send(signal.SIGQUIT)
    server.wait_log(r'worker 0:\n')
    server.wait_log(r'worker 1:\n')
    for sock in (one, other):
        read_reply(sock)
    lists = re.split(r'^worker [01]:\n', server.log, flags=re.M)[1:]
    assert len(lists) == 2
    for each in lists:  # whole: what another thread says is not in between
        assert re.match(r'(parked|running) .*\n(.*\n)*? +group opened .*\n +parked +request /late/\{ms:int\}', each), each
    assert server.stop() == 0
