# SPDX-License-Identifier: MIT
"""Clients over Python's ssl."""

import contextlib
import socket
import ssl

from conftest import SLOW, read_reply


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
