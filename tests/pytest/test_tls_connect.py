# SPDX-License-Identifier: MIT
"""weft_tls_connect against openssl s_server and Python's ssl: whom it trusts, what it asks for, what it shows."""

import contextlib
import os
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest

from certificates import Authority, openssl
from conftest import BUILD, SLOW

CALLER = BUILD / 'tests' / 'pytest' / 'caller'


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('tls'))


@pytest.fixture(scope='module')
def site(authority):
    return authority.issue('site', 'localhost', '*.wild.test', 'IP:127.0.0.1')


def call(port, env=None, host='127.0.0.1', **words):
    """The caller's exit status and what it printed."""
    done = subprocess.run([CALLER, '%s:%d' % (host, port), *('%s=%s' % word for word in words.items())], text=True,
                          capture_output=True, timeout=30 * SLOW, env={**os.environ, **(env or {})})
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, done.stdout + done.stderr


class OpensslServer:
    """`openssl s_server -rev`, which answers each line with the same from behind. `log` is what it has said."""

    def __init__(self, cert, *flags):
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            ['openssl', 's_server', '-accept', '127.0.0.1:%d' % self.port, '-cert', cert[0], '-key', cert[1], '-rev',
             *map(str, flags)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while 'ACCEPT' not in self.process.stdout.readline():
            assert self.process.poll() is None

    def end(self):
        """All that it has said since."""
        self.process.kill()
        return self.process.communicate()[0]


@contextlib.contextmanager
def s_server(cert, *flags):
    server = OpensslServer(cert, *flags)
    try:
        yield server
    finally:
        server.end()


def test_a_line_there_and_back(authority, site):
    with s_server(site) as server:
        assert call(server.port, ca=authority.cert) == (0, 'olleh\n')
        assert call(server.port, ca=authority.cert, name='localhost', ask='abc') == (0, 'cba\n')
        assert call(server.port, ca=authority.cert, name='a.wild.test') == (0, 'olleh\n')
        assert call(server.port, insecure=1) == (0, 'olleh\n')
        long = ''.join(chr(ord('a') + i % 26) for i in range(150))
        assert call(server.port, ca=authority.cert, ask=long) == (0, long[::-1] + '\n')


@pytest.mark.parametrize('version', ['-tls1_2', '-tls1_3'])
def test_versions(authority, site, version):
    with s_server(site, version) as server:
        assert call(server.port, ca=authority.cert) == (0, 'olleh\n')


def test_old_versions_are_refused(authority, site):
    with s_server(site, '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0') as server:
        status, shown = call(server.port, ca=authority.cert)
        assert status == 1 and 'does not speak TLS as it should' in shown


def test_the_system_is_trusted_by_default(authority, site):
    """And nobody else: verification is on without a word about it."""
    with s_server(site) as server:
        status, shown = call(server.port)
        assert status == 1 and 'not trusted' in shown and 'unable to get local issuer certificate' in shown
        assert call(server.port, env={'SSL_CERT_FILE': str(authority.cert)}) == (0, 'olleh\n')


def test_an_authority_of_the_same_name(authority, site, tmp_path):
    other = Authority(tmp_path)
    with s_server(site) as server:
        status, shown = call(server.port, ca=other.cert)
        assert status == 1 and 'not trusted' in shown


@pytest.mark.parametrize('name', ['example.org', 'a.b.wild.test', 'wild.test', '127.0.0.2', '::1', 'localhost.example.org'])
def test_another_name(authority, site, name):
    with s_server(site) as server:
        status, shown = call(server.port, ca=authority.cert, name=name)
        assert status == 1 and re.search('(hostname|IP address) mismatch', shown), shown


def test_the_name_that_was_looked_up_counts(authority):
    with s_server(authority.issue('elsewhere', 'elsewhere.test', 'IP:127.0.0.1')) as server:
        status, shown = call(server.port, ca=authority.cert, host='Localhost')
        assert status == 1 and 'hostname mismatch' in shown


def test_self_signed(tmp_path):
    cert, key = tmp_path / 'own.pem', tmp_path / 'own.key'
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=localhost',
            '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert)
    with s_server((cert, key)) as server:
        status, shown = call(server.port, ca=Authority(tmp_path).cert)
        assert status == 1 and 'self-signed certificate' in shown
        assert call(server.port, ca=cert) == (0, 'olleh\n')  # who trusts it by name


def test_expired(authority):
    old = authority.issue('old', 'localhost', 'IP:127.0.0.1', days=-1)
    with s_server(old) as server:
        status, shown = call(server.port, ca=authority.cert)
        assert status == 1 and 'certificate has expired' in shown
        assert call(server.port, insecure=1) == (0, 'olleh\n')


def test_weak(authority):
    weak = authority.issue('weak', 'localhost', 'IP:127.0.0.1', newkey=['rsa:1024'])
    with s_server(weak, '-cipher', 'DEFAULT:@SECLEVEL=0') as server:
        status, shown = call(server.port, ca=authority.cert)
        assert status == 1 and 'failed: ' in shown


@pytest.mark.parametrize('version', ['-tls1_2', '-tls1_3'])
def test_a_certificate_of_its_own(authority, site, version):
    ann = authority.issue('ann', subject='/CN=Ann')
    with s_server(site, '-Verify', '2', '-verify_return_error', '-CAfile', authority.cert, version) as server:
        assert call(server.port, ca=authority.cert, cert=ann[0], key=ann[1]) == (0, 'olleh\n')
        for words in ({'ca': authority.cert}, {'insecure': 1}):
            status, shown = call(server.port, **words)  # without one
            assert status == 1 and 'not trusted' not in shown and 'failed: ' in shown, shown  # it is not the server's


def test_files_that_cannot_be_used(authority, site, tmp_path):
    for words, complaint in (({'ca': tmp_path / 'none'}, 'No such file'),
                             ({'ca': authority.key}, 'there is no certificate in it'),
                             ({'cert': site[0]}, 'a certificate needs its key'),
                             ({'cert': site[0], 'key': authority.key}, 'it is not the key of the certificate')):
        status, shown = call(1, **words)
        assert status == 1 and complaint in shown and len(shown.splitlines()) == 1, shown


class PythonServer:
    """Notes what each client asks for, in `seen`, and answers a line with the same."""

    def __init__(self, cert, alpn=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*map(str, cert))
        if alpn:
            self.context.set_alpn_protocols(alpn)
        self.context.sni_callback = lambda sock, name, context: self.names.append(name)
        self.names, self.protocols = [], []
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            raw, _ = self.listener.accept()
            with raw:
                if self.listener.fileno() < 0 or raw.getpeername()[1] == getattr(self, 'last', None):
                    return
                try:
                    with self.context.wrap_socket(raw, server_side=True) as sock:
                        self.protocols.append(sock.selected_alpn_protocol())
                        sock.sendall(sock.recv(1000))
                except OSError:
                    pass

    def end(self):
        with socket.socket() as last:
            last.bind(('127.0.0.1', 0))
            self.last = last.getsockname()[1]
            last.connect(('127.0.0.1', self.port))
            self.thread.join()
        self.listener.close()


def test_name_and_protocol_are_asked_for(authority, site):
    server = PythonServer(site, ['h2', 'http/1.1'])
    try:
        assert call(server.port, ca=authority.cert, name='localhost', alpn='http/1.1') == (0, 'hello\n')
        assert call(server.port, ca=authority.cert) == (0, 'hello\n')
        assert call(server.port, ca=authority.cert, host='Localhost') == (0, 'hello\n')  # by the system's resolver
        for name in ('localhost.', '127.0.0.1.'):  # the root's dot is no part of it
            assert call(server.port, ca=authority.cert, name=name) == (0, 'hello\n')
    finally:
        server.end()
    assert server.names == ['localhost', None, 'Localhost', 'localhost', None]  # an address is not asked for (RFC 6066 §3)
    assert server.protocols == ['http/1.1', None, None, None, None]


def test_a_server_that_says_nothing():
    with socket.create_server(('127.0.0.1', 0)) as listener:
        started = time.monotonic()
        status, shown = call(listener.getsockname()[1], insecure=1, timeout=300)
        assert status == 1 and 'timed out' in shown and 0.25 < time.monotonic() - started < 5 * SLOW


@pytest.mark.parametrize('answer', [b'', b'HTTP/1.1 400 Bad Request\r\n\r\n', b'\x16\x03\x03\xff\xff' + bytes(100),
                                    b'\x15\x03\x03\x00\x02\x02\x28'], ids=['end', 'http', 'garbage', 'alert'])
def test_a_server_that_speaks_no_tls(answer):
    with socket.create_server(('127.0.0.1', 0)) as listener:
        def serve():
            with listener.accept()[0] as sock:
                sock.recv(65536)
                sock.sendall(answer)
        thread = threading.Thread(target=serve)
        thread.start()
        status, shown = call(listener.getsockname()[1], insecure=1)
        thread.join()
    assert status == 1 and ('TLS' in shown if answer else 'reset' in shown), shown
