# SPDX-License-Identifier: MIT
"""A server that is going to be stopped, and the simple clients that the tests of the stop look through."""

import ctypes
import functools
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import time

# The whole of a suite in another setting: by TLS, or with so many workers.
BY_TLS = 'TEST_TLS' in os.environ
WORKERS = os.environ.get('TEST_WORKERS', '1')
TIME_FACTOR = float(os.environ.get('WEFT_TIME_FACTOR', '1'))
PROGRAM = os.path.join(os.environ.get('WEFT_BUILD', 'build'), 'tests/pytest/stopper')


def until(condition, seconds=10):
    """What the condition returns, as soon as it is true; fails when it does not become so."""
    end = time.monotonic() + seconds * TIME_FACTOR
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(0.005)


def refuse_filters():
    """For preexec_fn: setsockopt(SO_ATTACH_FILTER) fails with EPERM from now on, by a filter of system calls (x86-64)."""
    allow, refuse = 0x7FFF0000, 0x00050001
    number, name, level = 0, 16 + 8 * 2, 16 + 8 * 1
    load, jump, give = 0x20, 0x15, 0x06
    program = [(load, 0, 0, number), (jump, 0, 5, 54), (load, 0, 0, level), (jump, 0, 3, socket.SOL_SOCKET),
               (load, 0, 0, name), (jump, 0, 1, 26), (give, 0, 0, refuse), (give, 0, 0, allow)]  # fmt: skip
    code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *line) for line in program))
    header = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, header, 0, 0) != 0:
        os._exit(99)


class Server:
    """The program, on a free port. `limits` are its environment's: fresh, websockets, cancel and cleanup, in
    milliseconds."""

    def __init__(self, *flags, listen=('127.0.0.1:0',), environment=(), before=None, program=PROGRAM, is_awaited=True,
                 **limits):
        variables = {**os.environ, 'WEFT_WORKERS': WORKERS, **dict(environment)}
        if BY_TLS:
            flags += ('--tls-self-signed',)
        variables.update({'STOPPER_' + name.upper(): str(value) for name, value in limits.items()})
        self.errors = tempfile.TemporaryFile()
        addresses = [word for address in listen for word in ('--listen', address)]
        self.process = subprocess.Popen([program, *addresses, *flags], stdin=subprocess.DEVNULL, env=variables,
                                        stdout=subprocess.DEVNULL, stderr=self.errors, preexec_fn=before)  # fmt: skip
        if not is_awaited:
            return
        try:
            self.port = int(until(lambda: self.says(r'listening on https?://127.0.0.1:(\d+)')).group(1))
            until(lambda: self.get('/hello'))
        except BaseException:
            self.end()
            raise

    @property
    def log(self):
        return os.pread(self.errors.fileno(), 1 << 24, 0).decode()

    def says(self, pattern):
        assert self.process.poll() is None or re.search(pattern, self.log), 'ended early:\n' + self.log
        return re.search(pattern, self.log)

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return time.monotonic()

    def wait(self, seconds=30):
        """The exit status."""
        return self.process.wait(seconds)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.errors.close()

    def connect(self, host='127.0.0.1', timeout=20, shakes=True):
        return Client(socket.create_connection((host, self.port), timeout=timeout), shakes)

    def get(self, path):
        client = self.connect()
        try:
            return client.ask(path).body
        finally:
            client.close()

    def await_waiting(self, count):
        """Until so many handlers wait."""
        until(lambda: int(self.get('/waiting')) == count)


@functools.cache
def tls_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Reply:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    @property
    def closes(self):
        return self.fields.get('connection') == 'close'


def request(path, method='GET', fields='', body=b''):
    return ('%s %s HTTP/1.1\r\nHost: test\r\n%s\r\n' % (method, path, fields)).encode() + body


class Client:
    """A connection that reads replies whole, and tells a FIN (b'') from a reset (an exception); by TLS, a FIN that was not
    announced is an exception too."""

    def __init__(self, connected, shakes=True):
        """Without `shakes` a handshake of TLS is only begun."""
        self.socket = connected
        self.unread = bytearray()  # grows in place: 30 MB of a reply must not be copied at every read
        if not BY_TLS:
            return
        limit = connected.gettimeout()
        self.socket = tls_context().wrap_socket(connected, do_handshake_on_connect=False, suppress_ragged_eofs=False)
        if shakes:
            self.socket.do_handshake()
            return
        self.socket.setblocking(False)
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self.socket.settimeout(limit)

    def send(self, data):
        """By TLS it shakes hands before, if that was only begun."""
        self.socket.sendall(data)

    def ask(self, path):
        self.send(request(path))
        return self.reply()

    def more(self):
        data = self.socket.recv(65536)
        self.unread += data
        return data

    def reply(self):
        while b'\r\n\r\n' not in self.unread:
            assert self.more(), 'the connection ended before a reply: %r' % bytes(self.unread)
        head, _, self.unread = self.unread.partition(b'\r\n\r\n')
        lines = head.decode().split('\r\n')
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(':') for line in lines[1:])}
        length = int(fields['content-length'])
        while len(self.unread) < length:
            assert self.more(), 'the connection ended within a reply, after %d of %d bytes' % (len(self.unread), length)
        body, self.unread = bytes(self.unread[:length]), self.unread[length:]
        return Reply(int(lines[0].split()[1]), fields, body)

    def end(self):
        """What comes until the FIN; a reset raises."""
        while self.more():
            pass
        return bytes(self.unread)

    def close(self):
        self.socket.close()
