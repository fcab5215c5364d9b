# SPDX-License-Identifier: MIT
"""Real clients over TLS: curl, aiohttp (WebSockets too) and, where it is installed, Node."""

import asyncio
import shutil
import ssl
import subprocess

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


@pytest.mark.skipif(not shutil.which('node'), reason='there is no Node')
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
