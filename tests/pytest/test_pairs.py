# SPDX-License-Identifier: MIT
"""Behind nginx and HAProxy, over upstream connections that are kept: the two must never disagree on where a request ends.

Each sees a request as a line in its log. A request that only the server sees was smuggled past the balancer."""

import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import SLOW, read_reply, URL
from tls_tools import client_context

SMUGGLED = b'GET /hello/smuggled HTTP/1.1\r\nHost: a\r\n\r\n'
CHUNKED = b'0\r\n\r\n' + SMUGGLED


def post(fields, body, version=b'1.1'):
    return b'POST /echo HTTP/' + version + b'\r\nHost: a\r\n' + fields + b'\r\n\r\n' + body


LENGTH = b'Content-Length: %d' % len(CHUNKED)
ATTEMPTS = {
    'a length and a coding': post(LENGTH + b'\r\nTransfer-Encoding: chunked', CHUNKED),
    'a coding and a length': post(b'Transfer-Encoding: chunked\r\n' + LENGTH, CHUNKED),
    'a short length and a coding': post(b'Content-Length: 5\r\nTransfer-Encoding: chunked', CHUNKED),
    'two lengths': post(b'Content-Length: 0\r\n' + LENGTH, CHUNKED),
    'two lengths, the other way': post(LENGTH + b'\r\nContent-Length: 0', CHUNKED),
    'the same length twice': post(LENGTH + b'\r\n' + LENGTH, CHUNKED),
    'a list of lengths': post(b'Content-Length: 0, %d' % len(CHUNKED), CHUNKED),
    'a length with a sign': post(b'Content-Length: +%d' % len(CHUNKED), CHUNKED),
    'a negative length': post(b'Content-Length: -1', CHUNKED),
    'a length in hex': post(b'Content-Length: 0x0', CHUNKED),
    'a length beyond 64 bits': post(b'Content-Length: 18446744073709551616', CHUNKED),
    'a length with a space before its colon': post(b'Content-Length : %d' % len(CHUNKED), CHUNKED),
    'a folded length': post(b'Content-Length:\r\n %d' % len(CHUNKED), CHUNKED),
    'a coding with a space before its colon': post(b'Transfer-Encoding : chunked\r\n' + LENGTH, CHUNKED),
    'a coding behind a tab': post(b'Transfer-Encoding:\tchunked\r\n' + LENGTH, CHUNKED),
    'a coding behind a vertical tab': post(b'Transfer-Encoding:\x0bchunked\r\n' + LENGTH, CHUNKED),
    'a folded coding': post(b'Transfer-Encoding:\r\n chunked\r\n' + LENGTH, CHUNKED),
    'a coding that is none': post(b'Transfer-Encoding: xchunked\r\n' + LENGTH, CHUNKED),
    'chunked and then another': post(b'Transfer-Encoding: chunked, identity', CHUNKED),
    'another and then chunked': post(b'Transfer-Encoding: identity, chunked', CHUNKED),
    'chunked twice': post(b'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', CHUNKED),
    'chunked in quotes': post(b'Transfer-Encoding: "chunked"\r\n' + LENGTH, CHUNKED),
    'chunked on 1.0': post(b'Transfer-Encoding: chunked\r\nConnection: keep-alive', CHUNKED, b'1.0'),
    'a coding behind a bare CR': post(b'X: y\rTransfer-Encoding: chunked\r\n' + LENGTH, CHUNKED),
    'a coding behind a bare LF': post(b'X: y\nTransfer-Encoding: chunked\r\n' + LENGTH, CHUNKED),
    'a coding behind NUL': post(b'X: y\0\r\nTransfer-Encoding: chunked\r\n' + LENGTH, CHUNKED),
    'a length named by Connection': post(b'Connection: content-length\r\n' + LENGTH, CHUNKED),
    'a length in a GET': b'GET /plaintext HTTP/1.1\r\nHost: a\r\n' + LENGTH + b'\r\n\r\n' + CHUNKED,
    'an upgrade with a body': post(b'Connection: Upgrade\r\nUpgrade: websocket\r\n' + LENGTH, CHUNKED),
    'an expectation': post(b'Expect: 100-continue\r\n' + LENGTH, CHUNKED),
    'LF alone in chunks': post(b'Transfer-Encoding: chunked', b'5\nhello\r\n0\r\n\r\n' + SMUGGLED),
    'LF alone at the last chunk': post(b'Transfer-Encoding: chunked', b'0\r\n\n' + SMUGGLED),
    'a chunk with a prefix': post(b'Transfer-Encoding: chunked', b'0x5\r\nhello\r\n0\r\n\r\n' + SMUGGLED),
    'a chunk beyond 64 bits': post(b'Transfer-Encoding: chunked', b'10000000000000000\r\n\r\n' + SMUGGLED),
    'a chunk of a wrong size': post(b'Transfer-Encoding: chunked', b'3\r\nhello\r\n0\r\n\r\n' + SMUGGLED),
    'an extension with LF': post(b'Transfer-Encoding: chunked', b'5;a\nb\r\nhello\r\n0\r\n\r\n' + SMUGGLED),
    'trailers that frame': post(b'Transfer-Encoding: chunked', b'0\r\nContent-Length: 50\r\n\r\n' + SMUGGLED),
    'a request in a query': b'GET /plaintext?\r\n' + SMUGGLED,
    'an absolute target': b'GET http://b/plaintext HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
    'a bare LF head': b'GET /plaintext HTTP/1.1\nHost: a\nContent-Length: %d\n\n' % len(SMUGGLED) + SMUGGLED,
}  # fmt: skip

NGINX = '''
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    log_format seen '$request|$upstream_addr';
    access_log {folder}/access.log seen;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream weft {{ server 127.0.0.1:{upstream}; keepalive 1; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://weft; proxy_http_version 1.1; proxy_set_header Connection "";
                      proxy_ignore_client_abort on; {more} }}
    }}
}}
'''
HAPROXY_TCP = '''
global
    log {folder}/log.sock format raw local0
defaults
    mode tcp
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend all
    bind 127.0.0.1:{port}
    default_backend weft
backend weft
    server weft 127.0.0.1:{upstream} {more}
'''
HAPROXY = '''
global
    log {folder}/log.sock format raw local0
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    log global
    log-format "%{{+Q}}r|%s|%ST"
    http-reuse always
frontend all
    bind 127.0.0.1:{port}
    default_backend weft
backend weft
    server weft 127.0.0.1:{upstream} {more}
'''


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Balancer:
    """nginx or HAProxy before a demo. `passed_on()` are the requests that it gave to it."""

    def __init__(self, kind, folder, upstream, more, config=None):
        self.kind, self.folder, self.port, self.upstream = kind, folder, free_port(), upstream
        text = config or (NGINX if kind == 'nginx' else HAPROXY)
        config = folder / 'config'
        config.write_text(text.format(folder=folder, port=self.port, upstream=upstream, more=more))
        self.log = None
        if kind == 'haproxy':
            self.log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.log.bind(str(folder / 'log.sock'))
            self.log.setblocking(False)
        self.records = []
        program = shutil.which(kind, path='/usr/sbin:/usr/bin') or kind
        arguments = ['-p', folder, '-e', folder / 'error.log', '-c', config] if kind == 'nginx' else ['-db', '-f', config]
        self.process = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=open(folder / 'stderr', 'w'))  # fmt: skip
        ends = time.monotonic() + 10 * SLOW
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', self.port)) == 0:
                    return
            assert time.monotonic() < ends and self.process.poll() is None, (folder / 'stderr').read_text()
            time.sleep(0.01)

    def lines(self):
        if self.kind == 'nginx':
            path = self.folder / 'access.log'
            return path.read_text(errors='replace').splitlines() if path.exists() else []
        while True:
            try:
                self.records.append(self.log.recv(8192).decode(errors='replace').strip())
            except BlockingIOError:
                return self.records

    def passed_on(self):
        """The lines of requests that it has given to the server."""
        if self.kind == 'nginx':
            return [line for line in self.lines() if not line.endswith('|-')]
        return [line for line in self.lines() if '|' in line and '|<NOSRV>|' not in line]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5 * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.log:
            self.log.close()


KINDS = [('nginx', ''), ('nginx', 'proxy_request_buffering off;'), ('haproxy', '')]


@pytest.fixture(scope='module', params=KINDS, ids=['nginx', 'nginx that streams', 'haproxy'])
def pair(request, tmp_path_factory):
    from conftest import BUILD, Server
    folder = tmp_path_factory.mktemp('pair')
    log = folder / 'weft.log'
    server = Server(BUILD / 'examples/demo', ['--listen', '127.0.0.1:0', '--access-log', log], {}, None)
    try:
        balancer = Balancer(request.param[0], folder, server.port, request.param[1])
        try:
            yield balancer, log
        finally:
            balancer.end()
        assert server.stop() == 0
    finally:
        server.end()


def exchange(port, data):
    """What comes back until the connection ends or is silent."""
    got = b''
    with socket.create_connection(('127.0.0.1', port), 10 * SLOW) as sock:
        sock.settimeout(0.1 * SLOW)
        try:
            sock.sendall(data)
            while more := sock.recv(65536):
                got += more
        except (TimeoutError, ConnectionError):
            pass
    return got


def is_answered_rightly(port, name):
    with socket.create_connection(('127.0.0.1', port), 10 * SLOW) as sock:
        sock.sendall(b'GET /hello/%s HTTP/1.1\r\nHost: a\r\n\r\n' % name)
        head, body = read_reply(sock)
        return head.startswith(b'HTTP/1.1 200 ') and body == b'Hello, %s!' % name


def records(path):
    return path.read_text(errors='replace').splitlines() if path.exists() else []


@pytest.mark.parametrize('name', ATTEMPTS)
def test_they_agree_where_a_request_ends(pair, name):
    balancer, log = pair
    before = len(records(log))
    exchange(balancer.port, ATTEMPTS[name])
    for i in range(3):  # over the same upstream connection, if it was kept
        assert is_answered_rightly(balancer.port, b'next%d' % i)
    ends = time.monotonic() + 5 * SLOW
    while time.monotonic() < ends:  # counted since both began; either log may be a little late
        if len(records(log)) == len(balancer.passed_on()) >= before + 3:
            break
        time.sleep(0.01)
    ours, theirs = records(log), balancer.passed_on()
    assert len(ours) == len(theirs) >= before + 3, (ours[before:], theirs[-6:])
    for word in ('/hello/smuggled', '/hello/next'):  # it may be a request of its own, to both of them
        assert sum(word in line for line in ours) == sum(word in line for line in theirs), (ours[before:], theirs[-6:])


def test_upstream_connections_are_kept(pair):
    balancer, _ = pair
    for i in range(20):
        assert is_answered_rightly(balancer.port, b'%d' % i)
    table = subprocess.run(['cat', '/proc/net/tcp'], capture_output=True, text=True, check=True).stdout  # state 01: established
    upstream = re.findall(r'[0-9A-F]{8}:%04X [0-9A-F]{8}:[0-9A-F]{4} 01' % balancer.upstream, table)
    assert 1 <= len(upstream) <= 4, upstream


@pytest.mark.parametrize('header', ['send-proxy', 'send-proxy-v2', 'send-proxy-v2 proxy-v2-options crc32c,unique-id'])
def test_the_client_is_known_behind_a_proxy_header(start, tmp_path, header):
    server = start('demo', '--listen', '127.0.0.1:0', '--access-log', '-', '--proxy-protocol', '127.0.0.1')
    balancer = Balancer('haproxy', tmp_path, server.port, header)
    try:
        for client in ('127.0.0.2', '127.0.0.3'):
            with socket.create_connection(('127.0.0.1', balancer.port), 10 * SLOW, (client, 0)) as sock:
                sock.sendall(b'GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n')
                assert read_reply(sock)[1] == b'Hello, World!'
    finally:
        balancer.end()
    assert server.stop() == 0
    assert [line.split()[0] for line in server.out.splitlines()] == ['127.0.0.2', '127.0.0.3'], server.out


@pytest.mark.parametrize('header', ['send-proxy', 'send-proxy-v2', 'send-proxy-v2 proxy-v2-options crc32c,unique-id'])
def test_the_client_is_known_behind_a_proxy_header_before_tls(start, tmp_path, header):
    """The balancer passes TLS on as it is: the header comes in clear, before the client's hello."""
    server = start('demo', '--listen', '127.0.0.1:0', '--access-log', '-', '--proxy-protocol', '127.0.0.1', '--tls-self-signed')
    balancer = Balancer('haproxy', tmp_path, server.port, header, HAPROXY_TCP)
    try:
        for client in ('127.0.0.2', '127.0.0.3'):
            with socket.create_connection(('127.0.0.1', balancer.port), 10 * SLOW, (client, 0)) as raw:
                with client_context().wrap_socket(raw, server_hostname='localhost') as sock:
                    for _ in range(2):
                        sock.sendall(b'GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n')
                        assert read_reply(sock)[1] == b'Hello, World!'
    finally:
        balancer.end()
    assert server.stop() == 0
    assert [line.split()[0] for line in server.out.splitlines()] == ['127.0.0.2'] * 2 + ['127.0.0.3'] * 2, server.out
