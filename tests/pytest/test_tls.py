# SPDX-License-Identifier: MIT
"""HTTPS by the real programs: certificates, their files, what handlers are told, and clients that misbehave."""

import contextlib
import hashlib
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from certificates import Authority, openssl
from conftest import SLOW, URL, read_all, read_reply
from tls_tools import ask, client_context, connected, told


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('tls'))


@pytest.fixture(scope='module')
def site(authority):
    return authority.issue('site', 'localhost', 'IP:127.0.0.1')


@pytest.fixture
def serve(start, site):
    def serve_one(*flags, cert=None, **options):
        cert = cert or site
        server = start('secure', '--listen', '127.0.0.1:0', '--tls-cert', str(cert[0]), '--tls-key', str(cert[1]), *flags,
                       **options)
        server.wait_log(URL)
        return server
    return serve_one


# ---- that it serves ----

def test_versions_and_ciphers(serve, authority):
    server = serve()
    with connected(server.port, client_context(authority, alpn=['h2', 'http/1.1'])) as sock:
        assert ask(sock).startswith('https TLSv1.3 TLS_AES_128_GCM_SHA256 name=localhost subject=- verified=0 resumed=0')
        assert ask(sock, '/late/1') == 'late'  # the connection is kept
        assert sock.selected_alpn_protocol() == 'http/1.1'
    assert told(server.port, client_context(authority, most=ssl.TLSVersion.TLSv1_2)).startswith('https TLSv1.2 ECDHE-ECDSA-')
    old = client_context(most=ssl.TLSVersion.TLSv1_1)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.set_ciphers('ALL:@SECLEVEL=0')
    with pytest.raises((ssl.SSLError, OSError)):
        told(server.port, old)
    with pytest.raises(ssl.SSLError):
        told(server.port, client_context(authority, alpn=['h2']))
    assert server.stop() == 0 and '2 handshakes' in server.log and '2 refused' in server.log


def test_large_bodies(serve, authority):
    server = serve()
    with connected(server.port, client_context(authority)) as sock:
        assert ask(sock, '/count', b'POST', b'x' * 3_000_000) == '3000000'
        sock.sendall(b'GET /much/5000000 HTTP/1.1\r\nHost: a\r\n\r\n')
        time.sleep(0.2)  # the server meets a client that does not read
        assert len(read_reply(sock)[1]) == 5_000_000
        sock.sendall(b'GET /late/1 HTTP/1.1\r\nHost: a\r\n\r\n' * 50)
        assert len(read_reply(sock, 50)) == 50


def test_self_signed(start):
    server = start('demo', '--listen', '127.0.0.1:0', '--tls-self-signed')
    fingerprint = server.wait_log(r"first certificate's SHA-256 is (\w{64})").group(1)
    with connected(server.port, client_context()) as sock:
        assert hashlib.sha256(sock.getpeercert(True)).hexdigest() == fingerprint
        assert ask(sock, '/hello/you') == 'Hello, you!'
    assert 'listening on https://' in server.log


def test_unix_socket_and_plain_beside_it(serve, authority, tmp_path):
    path = tmp_path / 'socket'
    server = serve('--listen', 'unix:%s' % path, '--listen', 'http://127.0.0.1:0')
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(path))
        with client_context(authority).wrap_socket(raw, server_hostname='localhost') as sock:
            assert ask(sock).startswith('https TLSv1.3')
    port = int(server.wait_log(r'listening on http://127.0.0.1:(\d+)').group(1))
    with socket.create_connection(('127.0.0.1', port), 10 * SLOW) as sock:
        assert ask(sock) == 'http'


def test_redirect_and_hsts(serve, authority):
    server = serve('--listen', 'redirect://127.0.0.1:0', '--hsts', '3600')
    port = int(server.wait_log(r'listening on http://127.0.0.1:(\d+) \(redirect\)').group(1))
    with socket.create_connection(('127.0.0.1', port), 10 * SLOW) as sock:
        for method, status in ((b'GET', b'301'), (b'POST', b'308')):
            sock.sendall(method + b' /a%20b%0d%0aX?q=1&r=%0d HTTP/1.1\r\nHost: example.org:81\r\n\r\n')
            head, _ = read_reply(sock)
            assert head.startswith(b'HTTP/1.1 ' + status)
            assert b'\r\nLocation: https://example.org:%d/a%%20b%%0D%%0AX?q=1&r=%%0d' % server.port in head
            assert b'Strict-Transport' not in head  # means nothing on plain HTTP
        sock.sendall(b'GET / HTTP/1.0\r\n\r\n')  # from whom?
        assert read_reply(sock)[0].startswith(b'HTTP/1.1 400')
    with connected(server.port, client_context(authority)) as sock:
        sock.sendall(b'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
        assert b'\r\nStrict-Transport-Security: max-age=3600' in read_reply(sock)[0]


def test_several_certificates(serve, authority, site):
    other = authority.issue('other', 'other.test', '*.wild.test')
    server = serve('--tls-cert', str(other[0]), '--tls-key', str(other[1]))
    context = client_context(authority)
    names = {'localhost': 'site', 'other.test': 'other', 'OTHER.test': 'other', 'a.wild.test': 'other'}
    for name, common in names.items():
        with connected(server.port, context, name) as sock:
            assert sock.getpeercert()['subject'][0][0][1] == common
            assert 'name=' + name in ask(sock)
    for name in ('a.b.wild.test', 'unknown.test'):
        with pytest.raises(ssl.SSLCertVerificationError):  # the first one is shown, which is for another name
            told(server.port, context, name)


def test_tickets(serve, authority):
    server = serve()
    for most in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = client_context(authority, most=most)
        with connected(server.port, context) as sock:
            assert 'resumed=0' in ask(sock)
            session = sock.session
        assert 'resumed=1' in told(server.port, context, session=session)
        server.send(signal.SIGHUP)  # new files, the same keys of tickets
        time.sleep(0.2)
        assert 'resumed=1' in told(server.port, context, session=session)
    assert server.stop() == 0 and 'of which 4 resumed' in server.log


def test_tickets_are_renewed(serve, authority):
    """Each connection of 1.3 brings the ticket for the next, as clients use each once."""
    server = serve()
    context = client_context(authority)
    session, seen = None, set()
    for n in range(5):
        with connected(server.port, context, session=session) as sock:
            assert 'resumed=%d' % (n > 0) in ask(sock)
            session = sock.session
            seen.add(session.id)
    assert len(seen) == 5


def test_foreign_tickets(serve, authority):
    """Tickets of another server, or spoiled ones, cost a full handshake and nothing else."""
    one, two = serve(), serve()
    context = client_context(authority)
    with connected(one.port, context) as sock:
        ask(sock)
        session = sock.session
    assert 'resumed=0' in told(two.port, context, session=session)
    assert 'resumed=1' in told(one.port, context, session=session)


def test_client_certificates(serve, authority, tmp_path):
    ann = authority.issue('ann', subject='/O=Example/CN=Ann')
    stranger = Authority(tmp_path, 'Somebody else').issue('eve', subject='/CN=Eve')
    server = serve('--tls-client-ca', str(authority.cert))
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(ann[0].read_text())).hexdigest()
    context = client_context(authority, ann)
    with connected(server.port, context) as sock:
        assert 'subject=CN=Ann,O=Example verified=1 resumed=0 fingerprint=' + digest in ask(sock)
        session = sock.session
    assert 'subject=CN=Ann,O=Example verified=1 resumed=1' in told(server.port, context, session=session)
    for cert in (None, stranger):
        with pytest.raises((ssl.SSLError, OSError)):
            told(server.port, client_context(authority, cert))
    server = serve('--tls-client-ca', str(authority.cert), '--tls-client-optional')
    old = authority.issue('old', subject='/CN=Old', days=-1)
    context = client_context(authority, old)
    with connected(server.port, context) as sock:
        assert 'subject=CN=Old verified=0 resumed=0' in ask(sock)
        session = sock.session
    assert 'subject=CN=Old verified=0 resumed=1' in told(server.port, context, session=session)
    assert 'subject=- verified=0' in told(server.port, client_context(authority))
    assert 'subject=CN=Eve verified=0' in told(server.port, client_context(authority, stranger))
    assert 'subject=CN=Ann,O=Example verified=1' in told(server.port, client_context(authority, ann))


def test_ocsp_staple(start, serve, authority, site, tmp_path):
    index, request, response = (tmp_path / name for name in ('index.txt', 'request', 'response'))
    serial = openssl('x509', '-in', site[0], '-noout', '-serial').decode().strip().split('=')[1]
    index.write_text('V\t491231235959Z\t\t%s\tunknown\t/CN=site\n' % serial)
    openssl('ocsp', '-issuer', authority.cert, '-cert', site[0], '-reqout', request)
    openssl('ocsp', '-index', index, '-rsigner', authority.cert, '-rkey', authority.key, '-CA', authority.cert,
            '-reqin', request, '-respout', response, '-ndays', '2')

    def answer(file):
        server = serve('--tls-ocsp', str(file))
        out = openssl('s_client', '-connect', '127.0.0.1:%d' % server.port, '-status', input=b'')
        assert server.stop() == 0
        return out, server.log

    out, log = answer(response)
    assert b'OCSP Response Status: successful' in out and b'Cert Status: good' in out and 'OCSP' not in log
    old = tmp_path / 'old'
    data = response.read_bytes()
    next_update = max(re.findall(rb'\x18\x0f(\d{14}Z)', data))
    old.write_bytes(data.replace(next_update, b'20200101000000Z'))
    out, log = answer(old)
    assert b'OCSP response: no response sent' in out and 'old: this OCSP response is out of date, and is not sent' in log
    other = authority.issue('other', 'localhost')
    server = start('secure', '--listen', '127.0.0.1:0', '--tls-cert', str(other[0]), '--tls-key', str(other[1]),
                   '--tls-ocsp', str(response))
    assert server.wait() == 1 and 'response: this OCSP response is for another certificate' in server.log


# ---- files ----

def test_certificates_change_under_load(serve, authority, site, tmp_path):
    cert, key = tmp_path / 'live.pem', tmp_path / 'live.key'
    cert.write_bytes(site[0].read_bytes())
    key.write_bytes(site[1].read_bytes())
    server = serve(cert=(cert, key))
    context = client_context(authority)
    failures, seen, ends = [], set(), threading.Event()

    def load():
        while not ends.is_set():
            try:
                with connected(server.port, context) as sock:
                    for _ in range(3):
                        ask(sock)
                    seen.add(sock.getpeercert()['subject'][0][0][1])
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=load) for _ in range(2)]
    with connected(server.port, context) as old:
        ask(old)
        for thread in threads:
            thread.start()
        try:
            fresh = authority.issue('fresh', 'localhost')
            key.write_bytes(fresh[1].read_bytes())
            server.send(signal.SIGHUP)  # half of the change: the key does not fit
            server.wait_log('live.key: it is not the key of the certificate in .*live.pem; the certificates of before stay')
            cert.write_bytes(fresh[0].read_bytes())
            server.wait_log('certificates have been read again', 20)  # without a signal
            deadline = time.monotonic() + 10 * SLOW
            while 'fresh' not in seen and time.monotonic() < deadline:
                time.sleep(0.01)
            cert.unlink()
            server.send(signal.SIGHUP)
            server.wait_log('live.pem: No such file or directory; the certificates of before stay')
            assert told(server.port, context)
        finally:
            ends.set()
            for thread in threads:
                thread.join()
        assert ask(old)  # with the certificate of before
    assert not failures and seen == {'site', 'fresh'}
    assert server.stop() == 0


@pytest.mark.parametrize('make, words', [
    (lambda a, s, t: (t / 'none.pem', s[1]), r'none\.pem: No such file or directory'),
    (lambda a, s, t: (s[0], t / 'none.key'), r'none\.key: No such file or directory'),
    (lambda a, s, t: (t, s[1]), r'Is a directory'),
    (lambda a, s, t: (s[1], s[1]), r'site\.key: there is no certificate in it'),
    (lambda a, s, t: (s[0], s[0]), r'site\.pem: there is no private key in it'),
    (lambda a, s, t: (s[0], a.key), r'ca\.key: it is not the key of the certificate in .*site\.pem'),
    (lambda a, s, t: a.issue('weak', 'localhost', newkey=['rsa:1024']), r'weak\.pem: its key is too weak: RSA needs 2048'),
    (lambda a, s, t: (s[0], locked(s[1], t)), r'locked\.key: the key has a passphrase'),
], ids=['no-cert', 'no-key', 'folder', 'key-for-cert', 'cert-for-key', 'other-key', 'weak', 'passphrase'])
def test_bad_files(start, authority, site, tmp_path, make, words):
    cert, key = make(authority, site, tmp_path)
    server = start('secure', '--listen', '127.0.0.1:0', '--tls-cert', str(cert), '--tls-key', str(key))
    assert server.wait() == 1
    assert len(server.log.splitlines()) == 1 and re.search(words, server.log), server.log


def test_a_key_that_everybody_may_read(serve, site, tmp_path):
    key = tmp_path / 'open.key'
    key.write_bytes(site[1].read_bytes())
    words = 'open.key: every user of this machine may read this key'
    for mode, is_said in ((0o644, True), (0o640, False), (0o600, False)):
        key.chmod(mode)
        assert (words in serve(cert=(site[0], key)).log) == is_said


def locked(key, folder):
    out = folder / 'locked.key'
    openssl('pkey', '-in', key, '-aes128', '-passout', 'pass:secret', '-out', out)
    return out


@pytest.mark.parametrize('flags', [
    ['--tls-cert', 'a.pem'], ['--tls-key', 'a.key'], ['--hsts', '10'], ['--tls-client-ca', 'a.pem'],
    ['--tls-client-optional', '--tls-self-signed'], ['--tls-self-signed', '--hsts', 'x'], ['--tls-ocsp', 'a'],
    ['--tls-cert', ''],
], ids=' '.join)
def test_bad_flags(start, flags):
    server = start('secure', *flags)
    assert server.wait() == 2 and len(server.log.splitlines()) == 1 and '--help' in server.log


@pytest.mark.parametrize('address', ['https://127.0.0.1:0', 'redirect://127.0.0.1:0'])
def test_an_address_that_needs_a_certificate(start, address):
    server = start('secure', '--listen', address)
    assert server.wait() == 1 and len(server.log.splitlines()) == 1 and 'there is no certificate' in server.log


# ---- clients that misbehave ----

class Memory:
    """A TLS client whose bytes are ours to send as we like."""

    context = client_context()

    def __init__(self, port):
        self.sock = socket.create_connection(('127.0.0.1', port), 10 * SLOW)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = self.context.wrap_bio(self.incoming, self.outgoing, server_hostname='localhost')

    def flight(self):
        return self.outgoing.read()

    def receive(self):
        data = self.sock.recv(65536)
        self.incoming.write(data)
        return data

    def drive(self, call, send):
        while True:
            try:
                result = call()
                send(self.flight())
                return result
            except ssl.SSLWantReadError:
                send(self.flight())
                if not self.receive():
                    raise EOFError

    def trickle(self, data):
        for i in range(len(data)):
            self.sock.sendall(data[i:i + 1])


def test_a_trickle(serve):
    server = serve()
    client = Memory(server.port)
    client.drive(client.tls.do_handshake, client.trickle)
    client.tls.write(b'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    client.trickle(client.flight())
    assert b'200 OK' in client.drive(lambda: client.tls.read(65536), client.sock.sendall)
    client.sock.close()


def test_cut_at_every_byte(serve, authority):
    """The hello, and a request, cut anywhere: the server goes on, and keeps nothing."""
    server = serve()
    hello = None
    for size in range(0, 10_000, 3):
        client = Memory(server.port)
        try:
            client.tls.do_handshake()
        except ssl.SSLWantReadError:
            hello = client.flight()
        client.sock.sendall(hello[:size])
        client.sock.close()
        if size >= len(hello):
            break
    for size in range(0, 80, 3):
        client = Memory(server.port)
        client.drive(client.tls.do_handshake, client.sock.sendall)
        client.tls.write(b'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
        client.sock.sendall(client.flight()[:size])
        client.sock.close()
    assert told(server.port, client_context(authority))
    assert server.stop() == 0 and '0 connections cut' in server.log


def test_no_tls(serve, authority):
    server = serve()
    for garbage in (b'\0' * 100, os.urandom(1).replace(b'\x16', b'x') + os.urandom(1000), b'\x16\x03\x01' + b'\xff' * 200):
        with socket.create_connection(('127.0.0.1', server.port), 10 * SLOW) as sock:
            sock.sendall(garbage)
            try:
                answer = read_all(sock)
                assert answer == b'' or answer[0] == 21 or answer.startswith(b'HTTP/1.1 400')  # an alert
            except ConnectionError:
                pass
    with socket.create_connection(('127.0.0.1', server.port), 10 * SLOW) as sock:
        sock.sendall(b'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
        assert read_all(sock).endswith(b'400 Bad Request: this port speaks HTTPS, not plain HTTP.\n')
    assert told(server.port, client_context(authority))


# ---- behind a balancer that passes TLS on ----

V2 = b'\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11\xc0\x00\x02\x02\xc6\x33\x64\x07\x12\x34\x01\xbb\x04\0\2ab'


@pytest.mark.parametrize('header, client', [(b'PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\r\n', '192.0.2.1'),
                                            (V2, '192.0.2.2'), (b'PROXY UNKNOWN\r\n', '127.0.0.1')])  # fmt: skip
def test_a_proxy_header_comes_before_tls(serve, authority, header, client):
    """Split at each byte; then in one piece with the client's hello."""
    server = serve('--access-log', '-', '--proxy-protocol', '127.0.0.1')
    context = client_context(authority)
    ways = [*range(1, len(header)), None]
    for split in ways:
        with server.connect() as raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY if split else socket.TCP_CORK, 1)
            for part in (header[:split], header[split:]) if split else (header,):
                raw.sendall(part)
                time.sleep(0.002)
            with context.wrap_socket(raw, server_hostname='localhost') as sock:
                assert ask(sock).startswith('https TLSv1.3 ')
                assert ask(sock, '/late/1') == 'late'
    assert server.stop() == 0
    clients = [line.split()[0] for line in server.out.splitlines()]
    assert clients == [client] * 2 * len(ways), clients


def test_what_comes_without_a_proxy_header_is_reset(serve, authority):
    server = serve('--debug', '--proxy-protocol', '127.0.0.1')
    with pytest.raises((ConnectionResetError, ssl.SSLError)):
        told(server.port, client_context(authority))
    for sent in (b'GET / HTTP/1.1\r\nHost: a\r\n\r\n', b'PROXY TCP4 no\r\n', V2[:12] + b'\x31'):
        with server.connect() as sock, pytest.raises(ConnectionResetError):
            sock.sendall(sent)
            sock.recv(100)
    with server.connect() as sock:  # a client that is passed on, and speaks no TLS
        sock.sendall(b'PROXY UNKNOWN\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n')
        assert b'this port speaks HTTPS' in read_all(sock)
    for unfinished in (b'', b'PROXY TC', V2[:20]):  # ends, and is waited for no longer
        with server.connect() as sock:
            sock.sendall(unfinished)
            sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(100) == b''
    waits = server.connect()
    waits.sendall(b'PROXY TCP4')
    assert server.stop() == 0
    waits.close()
    assert 'no PROXY header' in server.log


# ----

def test_half_closed_client_is_answered(serve, authority):
    server = serve()
    out = openssl('s_client', '-connect', '127.0.0.1:%d' % server.port, '-quiet', '-no_ign_eof', '-CAfile', authority.cert,
                  input=b'GET /late/200 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    assert isinstance(out, bytes)  # s_client goes at once; what counts is that the server does not mind
    client = Memory(server.port)
    client.drive(client.tls.do_handshake, client.sock.sendall)
    client.tls.write(b'GET /late/100 HTTP/1.1\r\nHost: a\r\n\r\n')
    try:
        client.tls.unwrap()
    except ssl.SSLWantReadError:
        pass
    client.sock.sendall(client.flight())  # the request, and the announcement of our end
    got = len(client.receive())
    while True:
        data = client.sock.recv(65536)
        if not data:
            break
        got += len(data)
    assert got > 150  # more than tickets and an alert: the reply
    assert server.stop() == 0


def test_renegotiation_is_off(serve):
    server = serve()
    done = subprocess.run(['openssl', 's_client', '-connect', '127.0.0.1:%d' % server.port, '-tls1_2'], input=b'R\n',
                          capture_output=True, timeout=30)
    assert b'RENEGOTIATING' in done.stdout + done.stderr and done.returncode != 0
    assert b'no renegotiation' in done.stderr or b'no_renegotiation' in done.stderr or b'handshake failure' in done.stderr


def test_a_thousand_half_done_handshakes(serve, authority):
    server = serve()
    crowd = []
    client = Memory(server.port)
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    hello = client.flight()
    for i in range(1000):
        sock = socket.create_connection(('127.0.0.1', server.port), 10 * SLOW)
        sock.sendall(hello[:1 + i % len(hello)] if i % 4 else hello)
        crowd.append(sock)
    started = time.monotonic()
    assert told(server.port, client_context(authority))
    assert time.monotonic() - started < 5 * SLOW
    assert server.stop() == 0
    for sock in crowd + [client.sock]:
        sock.close()


def test_stop_answers_what_is_in_flight(serve, authority):
    server = serve()
    context = client_context(authority)
    with connected(server.port, context) as busy, connected(server.port, context) as idle:
        ask(idle)
        busy.sendall(b'GET /late/600 HTTP/1.1\r\nHost: a\r\n\r\n')
        time.sleep(0.2)
        server.send(signal.SIGTERM)
        assert idle.recv(1) == b''  # announced: anything else raises
        head, body = read_reply(busy)
        assert body == b'late' and b'\r\nConnection: close' in head
        assert busy.recv(1) == b''
    assert server.wait() == 0
