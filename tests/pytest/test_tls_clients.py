# SPDX-License-Identifier: MIT
"""Real clients over TLS: curl, aiohttp (WebSockets too) and, where they are installed, Node and sslscan. Whole suites of
clients, Go and Chromium among them, run by TLS with TEST_TLS."""

import asyncio
import ssl
import subprocess
from xml.etree import ElementTree

import aiohttp
import pytest

from certificates import Authority
from conftest import SLOW, URL


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp('tls'))


@pytest.fixture
def demo(start, authority):
    cert, key = authority.issue('site', 'localhost', 'IP:127.0.0.1')
    server = start('demo', '--listen', '127.0.0.1:0', '--tls-cert', str(cert), '--tls-key', str(key))
    server.wait_log(URL)
    return server


def test_curl(demo, authority):
    done = subprocess.run(['curl', '-sS', '--fail', '--cacert', authority.cert, '-d', 'x' * 1000,
                           *['https://localhost:%d/echo' % demo.port] * 3], capture_output=True, timeout=30 * SLOW)
    assert done.returncode == 0 and done.stdout == b'x' * 3000
    assert demo.stop() == 0 and 'TLS: 1 handshakes' in demo.log
    distrusting = subprocess.run(['curl', '-sS', 'https://localhost:%d/' % demo.port], capture_output=True, timeout=30 * SLOW)
    assert distrusting.returncode != 0


def test_aiohttp_and_a_web_socket(demo, authority):
    async def talk():
        trust = ssl.create_default_context(cafile=str(authority.cert))
        base = '127.0.0.1:%d' % demo.port
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
            async with session.get('https://%s/download/1000000' % base) as reply:
                assert len(await reply.read()) == 1000000
            async with session.ws_connect('wss://%s/ws/echo' % base) as ws:
                for size in (1, 1000, 100000):
                    await ws.send_str('e' * size)
                    assert (await ws.receive_str()) == 'e' * size
    asyncio.run(asyncio.wait_for(talk(), 30 * SLOW))
    assert demo.stop() == 0


def test_node(demo, authority):
    script = """
        const https = require('https'), fs = require('fs');
        const agent = new https.Agent({ keepAlive: true, ca: fs.readFileSync(process.argv[2]) });
        https.get({ host: 'localhost', port: process.argv[1], path: '/hello/node', agent, family: 4 }, (reply) => {
            const protocol = reply.socket.getProtocol(); let text = ''; reply.on('data', (d) => text += d);
            reply.on('end', () => { console.log(reply.statusCode, protocol, text); agent.destroy(); });
        });"""
    done = subprocess.run(['node', '-e', script, str(demo.port), str(authority.cert)], capture_output=True, text=True,
                          timeout=30 * SLOW)
    assert done.stdout.startswith('200 TLSv1.3 Hello, node!'), done.stderr


def test_sslscan_finds_nothing_of_note(demo, tmp_path):
    out = tmp_path / 'scan.xml'
    subprocess.run(['sslscan', '--no-colour', '--xml=%s' % out, '127.0.0.1:%d' % demo.port], check=True, capture_output=True,
                   timeout=60 * SLOW)
    found = ElementTree.parse(out).getroot().find('ssltest')
    assert {p.get('version') for p in found.iter('protocol') if p.get('enabled') == '1'} == {'1.2', '1.3'}
    for name, word in (('renegotiation', 'supported'), ('compression', 'supported'), ('heartbleed', 'vulnerable')):
        assert all(element.get(word) == '0' for element in found.iter(name)), name
    ciphers = list(found.iter('cipher'))
    assert len(ciphers) == 6
    for cipher in ciphers:
        assert cipher.get('strength') in ('strong', 'acceptable') and int(cipher.get('bits')) >= 128
        assert 'GCM' in cipher.get('cipher') or 'CHACHA20' in cipher.get('cipher')
    assert {g.get('name').split()[0] for g in found.iter('group')} <= {'x25519', 'secp256r1', 'secp384r1'}
    assert all(pk.get('error') == 'false' for pk in found.iter('pk'))
    assert [e.text for e in found.iter('expired')] == ['false']
