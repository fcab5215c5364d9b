# SPDX-License-Identifier: MIT
"""Certificates made by the openssl program, and clients over Python's ssl."""

import contextlib
import socket
import ssl
import subprocess

from conftest import SLOW, read_reply


def openssl(*words, **options):
    done = subprocess.run(['openssl', *map(str, words)], capture_output=True, timeout=60, **options)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class Authority:
    """Signs certificates, into a folder."""

    def __init__(self, folder, name='Test CA'):
        self.folder = folder
        self.cert = folder / 'ca.pem'
        self.key = folder / 'ca.key'
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
                '-subj', '/CN=' + name, '-keyout', self.key, '-out', self.cert)

    def issue(self, file, *names, subject=None, newkey=('ec', '-pkeyopt', 'ec_paramgen_curve:P-256'), days=2):
        """(certificate, key) of files named after `file`, for DNS names or, with IP:, addresses."""
        cert, key, request = (self.folder / (file + end) for end in ('.pem', '.key', '.csr'))
        names = [name if ':' in name else 'DNS:' + name for name in names]
        extension = self.folder / (file + '.ext')
        extension.write_text('subjectAltName=%s\n' % ','.join(names) if names else 'keyUsage=digitalSignature\n')
        openssl('req', '-newkey', *newkey, '-nodes', '-subj', subject or '/CN=' + file, '-keyout', key, '-out', request)
        openssl('x509', '-req', '-in', request, '-CA', self.cert, '-CAkey', self.key, '-CAcreateserial', '-days', days,
                '-extfile', extension, '-out', cert)
        return cert, key


def client_context(authority=None, cert=None, alpn=None, most=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority:
        context.load_verify_locations(authority.cert)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert:
        context.load_cert_chain(*map(str, cert))
    if alpn:
        context.set_alpn_protocols(alpn)
    if most:
        context.maximum_version = most
    return context


@contextlib.contextmanager
def connected(port, context, name='localhost', **options):
    with socket.create_connection(('127.0.0.1', port), 10 * SLOW) as raw:
        with context.wrap_socket(raw, server_hostname=name, **options) as sock:
            yield sock


def ask(sock, path='/', method=b'GET', body=b''):
    """A request, and the body of its reply."""
    length = b'Content-Length: %d\r\n' % len(body) if body else b''
    sock.sendall(method + b' ' + path.encode() + b' HTTP/1.1\r\nHost: localhost\r\n' + length + b'\r\n' + body)
    head, reply = read_reply(sock)
    assert head.startswith(b'HTTP/1.1 200 '), head
    return reply.decode()


def told(port, context, name='localhost', **options):
    with connected(port, context, name, **options) as sock:
        return ask(sock)
