# SPDX-License-Identifier: MIT
"""A whole suite by TLS: with TEST_TLS in the environment every server has a certificate, and every client trusts it."""

import atexit
import functools
import os
import pathlib
import select
import shutil
import socket
import ssl
import tempfile
import time

from certificates import Authority

BY_TLS = 'TEST_TLS' in os.environ
SCHEME = 'https' if BY_TLS else 'http'


@functools.cache
def site():
    """The files of this run's own authority and of a certificate for the loopback addresses. curl, Node, Go and all that use
    OpenSSL as it comes trust it from now on."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='weft-tls-'))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    authority = Authority(folder)
    cert, key = authority.issue('site', 'localhost', 'a', 'IP:127.0.0.1', 'IP:::1')
    for name in ('SSL_CERT_FILE', 'CURL_CA_BUNDLE', 'NODE_EXTRA_CA_CERTS'):
        os.environ[name] = str(authority.cert)
    return authority.cert, cert, key


@functools.cache
def context():
    return ssl.create_default_context(cafile=site()[0])


class TlsSocket:
    """What the tests use of a socket, by TLS. Unlike ssl.SSLSocket it can end its own direction and go on reading; an end that
    was not announced is a reset."""

    def __init__(self, raw):
        self.raw = raw
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context().wrap_bio(self.incoming, self.outgoing, server_hostname='127.0.0.1')
        self.ready = self.unsent = b''
        self._drive(self.tls.do_handshake)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __getattr__(self, name):
        assert name in ('close', 'fileno', 'getpeername', 'getsockname', 'setblocking', 'setsockopt', 'settimeout'), name
        return getattr(self.raw, name)

    def _take(self, *flags):
        data = self.raw.recv(65536, *flags)
        if not data:
            raise ConnectionResetError('the connection ended without being announced')
        self.incoming.write(data)

    def _flush(self):
        data = self.outgoing.read()
        if data:
            self.raw.sendall(data)

    def _drive(self, call):
        while True:
            try:
                result = call()
                self._flush()
                return result
            except ssl.SSLWantReadError:
                self._flush()
                self._take()
            except ssl.SSLZeroReturnError:
                return b''

    def sendall(self, data):
        for at in range(0, len(data), 65536):
            self.tls.write(data[at:at + 65536])
            self._flush()

    def send(self, data):
        """Takes all of it, or what was taken before has to go first: then it raises as the socket does."""
        while self.unsent:
            self.unsent = self.unsent[self.raw.send(self.unsent):]
        self.tls.write(data)
        self.unsent = self.outgoing.read()
        return len(data)

    def recv(self, size):
        if not self.ready:
            self.ready = self._drive(lambda: self.tls.read(65536))
        data, self.ready = self.ready[:size], self.ready[size:]
        return data

    def shutdown(self, how):
        assert how == socket.SHUT_WR
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self._flush()
        self.raw.shutdown(how)

    def is_readable(self, seconds):
        """Is there plaintext, or an end? A ticket alone is neither."""
        ends = time.monotonic() + seconds
        while not self.ready:
            try:
                self.ready = self.tls.read(65536)
                return True
            except ssl.SSLZeroReturnError:
                return True
            except ssl.SSLWantReadError:
                if not select.select([self.raw], [], [], max(0, ends - time.monotonic()))[0]:
                    return False
                self._take()
        return True


def wrapped(raw):
    """The connection, by TLS if the suite runs so."""
    return TlsSocket(raw) if BY_TLS else raw
