# SPDX-License-Identifier: MIT
"""The access log of the real demo: what each format says of a request, of refusals, of clients that go; rotation; the stop."""

import calendar
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

DEMO = os.environ['WEFT_DEMO']

LINE = re.compile(r'(?P<client>\S+) - - \[(?P<time>[^]]+)\] "(?P<line>[^"]*)" (?P<status>\S+) (?P<bytes>\d+)'
                  r'(?: "(?P<referer>[^"]*)" "(?P<agent>[^"]*)")? (?P<duration>\S+) (?P<end>\S+)')  # fmt: skip


class Demo:
    """A demo on a port of its own; what it says on standard error is in a file."""

    def __init__(self, folder, *flags, stdout=subprocess.DEVNULL, environment=None):
        self.log = folder / 'access.log'
        self.words = folder / 'words'
        environment = dict(os.environ, **(environment or {}))
        with open(self.words, 'wb') as words:
            self.process = subprocess.Popen([DEMO, '--listen', '127.0.0.1:0', *flags], stdin=subprocess.DEVNULL, stdout=stdout,
                                            stderr=words, env=environment)
        self.port = int(self.await_words(r'listening on http://127\.0\.0\.1:(\d+)').group(1))

    def await_words(self, pattern):
        return await_that(lambda: re.search(pattern, self.words.read_text()), 'no %r in what it says' % pattern)

    def send(self, data, *, half_close=False):
        """Sends bytes and reads to the end."""
        with socket.create_connection(('127.0.0.1', self.port), timeout=20) as client:
            client.sendall(data)
            if half_close:
                client.shutdown(socket.SHUT_WR)
            answer = b''
            while more := client.recv(65536):
                answer += more
        return answer

    def get(self, target, fields=''):
        return self.send(('GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n' % (target, fields)).encode('latin-1'))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=30)
        return status, self.words.read_text()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def lines(self, count):
        """The lines of the log, once there are so many."""
        lines = await_that(lambda: (found := self.log.read_text().splitlines()) and len(found) >= count and found, 'no records')
        assert len(lines) == count, lines
        return lines

    def records(self, count):
        return [LINE.fullmatch(line) for line in self.lines(count)]


def await_that(question, complaint):
    for _ in range(1000):
        answer = question()
        if answer:
            return answer
        time.sleep(0.01)
    raise AssertionError(complaint)


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(name, *flags, **options):
        file = str(tmp_path / 'access.log')
        started.append(Demo(tmp_path, *flags, '--access-log-format', name, '--access-log', file, **options))
        return started[-1]

    yield begin
    for demo in started:
        demo.end()


def test_common(start):
    demo = start('common')
    assert demo.get('/hello/W%6frld?a=%22').endswith(b'Hello, World!')
    [record] = demo.records(1)
    assert record['client'] == '127.0.0.1'
    assert record['line'] == 'GET /hello/W%6frld?a=%22 HTTP/1.1'  # as it came, not as it was routed
    assert (record['status'], record['bytes'], record['end']) == ('200', '13', '-')
    assert 0 < int(record['duration']) < 5000000
    assert record['agent'] is None
    said = time.strptime(record['time'], '%d/%b/%Y:%H:%M:%S +0000')
    assert abs(time.time() - calendar.timegm(said)) < 10


def test_combined(start):
    demo = start('combined')
    demo.get('/', 'Referer: http://a/b\r\nUser-Agent: x" 200 \\ \xe9\r\n')
    demo.get('/')
    first, second = demo.records(2)
    assert (first['referer'], first['agent']) == ('http://a/b', r'x\x22 200 \x5c \xe9')
    assert (second['referer'], second['agent']) == ('-', '-')


def test_json(start):
    demo = start('json')
    demo.send(b'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n'
              b'User-Agent: "\xff\xc3\xa9\\\r\nConnection: close\r\n\r\nabcde')
    demo.get('/hello/you')
    first, second = [json.loads(line) for line in demo.lines(2)]
    assert first['user_agent'] == '"\\xff\u00e9\\'
    assert (first['method'], first['target'], first['version'], first['route']) == ('POST', '/echo', 'HTTP/1.1', '/echo')
    assert (first['status'], first['bytes']) == (200, 5)
    assert first['client'] == '127.0.0.1'
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z', first['time'])
    assert 'end' not in first and 'referer' not in first
    assert second['route'] == '/hello/{name}'


def test_replies_without_a_route_and_without_a_body(start):
    demo = start('common')
    demo.get('/nothing')
    demo.send(b'DELETE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    demo.send(b'HEAD / HTTP/1.0\r\n\r\n')
    demo.get('/stream?n=2')
    demo.get('/download/1000000')
    records = demo.records(5)
    assert [(r['line'].split()[0], r['status']) for r in records] == [
        ('GET', '404'), ('DELETE', '405'), ('HEAD', '200'), ('GET', '200'), ('GET', '200')]  # fmt: skip
    assert [int(r['bytes']) for r in records[2:]] == [0, 14, 1000000]
    assert int(records[3]['duration']) > 90000  # it waits 100 ms between two lines


def test_pipelined_in_order(start):
    demo = start('common')
    demo.send(b''.join(b'GET /hello/%d HTTP/1.1\r\nHost: x\r\n\r\n' % i for i in range(50)) +
              b'GET /hello/50 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    assert [r['line'] for r in demo.records(51)] == ['GET /hello/%d HTTP/1.1' % i for i in range(51)]


@pytest.mark.parametrize('sent, status, line', [
    (b'GET / HTTP/1.1\r\n\r\n', '400', 'GET / HTTP/1.1'),
    (b'GET /\x01"\\ HTTP/1.1\r\nHost: x\r\n\r\n', '400', r'GET /\x01\x22\x5c HTTP/1.1'),
    (b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', '400', r'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
    (b'BREW / HTTP/1.1\r\nHost: x\r\n\r\n', '501', 'BREW / HTTP/1.1'),
    (b'GET / HTTP/3.0\r\nHost: x\r\n\r\n', '505', 'GET / HTTP/3.0'),
    (b'GET / HT', '400', 'GET / HT'),
    (b'GET /' + b'a' * 9000, '414', 'GET /' + 'a' * 2035 + '...'),
], ids=['no host', 'odd bytes', 'TLS', 'method', 'version', 'half', 'long'])  # fmt: skip
def test_refusals(start, sent, status, line):
    demo = start('common')
    answer = demo.send(sent, half_close=len(sent) < 10)
    [record] = demo.records(1)
    assert (record['client'], record['status'], record['duration'], record['end']) == ('127.0.0.1', status, '-', '-')
    assert record['line'] == line
    assert int(record['bytes']) == len(answer.split(b'\r\n\r\n', 1)[1])


def test_nobody_forges_a_line(start):
    demo = start('combined')
    demo.send(b'GET /x" 200 1 "-" "-" 1 -\n6.6.6.6 - - [x] "GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    demo.get('/plaintext')
    first, second = demo.lines(2)
    assert first.startswith('127.0.0.1 - - [') and second.startswith('127.0.0.1 - - [')


def test_clients_that_go(start):
    demo = start('json')
    with socket.create_connection(('127.0.0.1', demo.port)) as client:
        client.sendall(b'GET /sleep/20000 HTTP/1.1\r\nHost: x\r\n\r\n')
        time.sleep(0.1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\x01\x00\x00\x00\x00\x00\x00\x00')  # close is a reset
    [record] = [json.loads(line) for line in demo.lines(1)]
    assert record['end'] == 'gone' and 'status' not in record and record['client'] == '127.0.0.1'
    assert 50000 < record['duration_us'] < 10000000


def test_streams_that_are_left(start):
    demo = start('common')
    with socket.create_connection(('127.0.0.1', demo.port)) as client:
        client.sendall(b'GET /stream?n=1000 HTTP/1.1\r\nHost: x\r\n\r\n')
        client.recv(1000)
    [record] = demo.records(1)
    assert (record['status'], record['end']) == ('200', 'gone')


def test_cut_by_the_stop(start):
    demo = start('common', '--drain', '0.1')
    with socket.create_connection(('127.0.0.1', demo.port)) as client:
        client.sendall(b'GET /stream?n=1000 HTTP/1.1\r\nHost: x\r\n\r\n')
        client.recv(1000)
        status, _ = demo.stop()
    [record] = demo.records(1)
    assert status == 75
    assert (record['status'], record['end']) == ('200', 'cut')


def test_the_stop_writes_everything(start):
    demo = start('common')
    demo.send(b'GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n' * 5000 + b'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    status, words = demo.stop()
    assert status == 0
    assert 'access log: 5001 records written, 0 dropped, 0 could not be written' in words
    assert len(demo.records(5001)) == 5001


def test_rotation(start):
    demo = start('common')
    demo.get('/plaintext')
    demo.lines(1)
    old = demo.log.rename(demo.log.with_name('access.log.1'))
    demo.get('/json')
    await_that(lambda: len(old.read_text().splitlines()) == 2, 'the renamed file is written to until the signal')
    demo.process.send_signal(signal.SIGHUP)
    await_that(demo.log.exists, 'no new file')
    demo.get('/hello')
    assert demo.records(1)[0]['line'] == 'GET /hello HTTP/1.1'
    assert len(old.read_text().splitlines()) == 2
    status, words = demo.stop()
    assert status == 0 and '3 records written' in words


def test_standard_output(tmp_path):
    with open(tmp_path / 'out', 'wb') as out:
        demo = Demo(tmp_path, stdout=out, environment={'WEFT_ACCESS_LOG': '-', 'WEFT_ACCESS_LOG_FORMAT': 'json'})
    try:
        demo.get('/plaintext')
        assert demo.stop()[0] == 0
    finally:
        demo.end()
    assert json.loads((tmp_path / 'out').read_text())['target'] == '/plaintext'


def test_a_pipe_that_nobody_reads(tmp_path):
    reader, writer = os.pipe()
    demo = Demo(tmp_path, '--access-log', '-', stdout=writer)
    os.close(writer)
    try:
        for _ in range(2):  # more than the pipe holds
            assert demo.send(b'GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n' * 3000 +
                             b'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n').count(b'HTTP/1.1 200') == 3001
        began = time.monotonic()
        status, words = demo.stop()
        assert status == 0 and time.monotonic() - began < 5
        written, lost = map(int, re.search(r'(\d+) records written, 0 dropped, (\d+) could', words).groups())
        assert written + lost == 6002 and lost > 0
    finally:
        demo.end()
        os.close(reader)


def test_a_reader_that_has_gone(tmp_path):
    reader, writer = os.pipe()
    demo = Demo(tmp_path, '--access-log', '-', stdout=writer)
    os.close(writer)
    os.close(reader)
    try:
        for _ in range(3):
            assert b'Hello' in demo.get('/plaintext')
            time.sleep(0.03)
        status, words = demo.stop()
        assert status == 0
        assert words.count('records are lost') == 1
        assert '0 records written, 0 dropped, 3 could not be written' in words
    finally:
        demo.end()


def test_a_full_disk(tmp_path):
    demo = Demo(tmp_path, '--access-log', '/dev/full')
    try:
        assert b'Hello' in demo.get('/plaintext')
        demo.await_words('No space left on device')
        assert demo.stop()[0] == 0
    finally:
        demo.end()


@pytest.mark.parametrize('flags, status, words', [
    (['--access-log', '/nowhere/log'], 1, 'the access log /nowhere/log cannot be opened: No such file or directory'),
    (['--access-log-format', 'apache'], 2, '--access-log-format apache: not a value it takes'),
    (['--access-log='], 2, '--access-log'),
])
def test_bad_flags(flags, status, words):
    run = subprocess.run([DEMO, '--listen', '127.0.0.1:0', *flags], stdin=subprocess.DEVNULL, capture_output=True, timeout=20,
                         check=False)
    assert run.returncode == status
    assert words in run.stderr.decode()
