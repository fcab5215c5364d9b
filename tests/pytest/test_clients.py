# SPDX-License-Identifier: MIT
"""The demo with the clients that people have: httpx, Node's fetch and http, Go's net/http, wrk, h2load. (curl and aiohttp are
in test_http.py.) Each does the same: small and large replies, bodies of known length and in chunks, an expectation, a streamed
reply, a download left in the middle, many at once, connections that are kept. The server must not have said an error."""

import asyncio
import hashlib
import os
import pathlib
import re
import subprocess

import httpx
import pytest

from by_tls import BY_TLS, context
from conftest import SLOW

TRUST = context() if BY_TLS else True
CLIENTS = pathlib.Path(__file__).parent / 'clients'


def run(*command, env=None):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120 * SLOW,
                          env={**os.environ, **(env or {})})  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_httpx(demo):
    data = os.urandom(700000)
    with httpx.Client(base_url=demo.url, timeout=20 * SLOW, trust_env=False, verify=TRUST) as client:
        assert client.get('/hello/Wörld').text == 'Hello, Wörld!'
        assert client.get('/json').json() == {'message': 'Hello, World!'}
        assert client.get('/none').status_code == 404
        assert client.head('/plaintext').headers['content-length'] == '13'
        assert client.post('/echo', content=data, headers={'content-type': 'x/y'}).content == data
        pieces = [data[:10000 + i] for i in range(100)]
        answer = client.post('/upload', content=iter(pieces)).text
        assert hashlib.sha256(b''.join(pieces)).hexdigest() in answer
        assert len(client.get('/stream?n=3').text.split()) >= 3
        with client.stream('GET', '/download/500000000') as reply:
            next(reply.iter_bytes())
        assert client.get('/plaintext').text == 'Hello, World!'

    async def many():
        async with httpx.AsyncClient(base_url=demo.url, timeout=60 * SLOW, trust_env=False, verify=TRUST) as client:
            replies = await asyncio.gather(*(client.get('/hello/%d' % i) for i in range(200)))
            assert [reply.text for reply in replies] == ['Hello, %d!' % i for i in range(200)]

    asyncio.run(many())
    assert demo.stop() == 0 and 'error' not in demo.log, demo.log


def test_node(demo):
    assert run('node', str(CLIENTS / 'client.mjs'), demo.url).strip() == 'ok'
    assert demo.stop() == 0 and 'error' not in demo.log, demo.log


@pytest.fixture(scope='session')
def go_client(tmp_path_factory):
    """Compiled once, without anything of the module proxy."""
    folder = tmp_path_factory.mktemp('go')
    cache = os.environ.get('GOCACHE') or str(pathlib.Path(os.environ['WEFT_BUILD']) / 'go-cache')
    run('go', 'build', '-o', str(folder / 'client'), str(CLIENTS / 'client.go'),
        env={'GOFLAGS': '-mod=mod', 'GO111MODULE': 'off', 'GOCACHE': cache, 'GOPROXY': 'off'})  # fmt: skip
    return str(folder / 'client')


def test_go(demo, go_client):
    assert run(go_client, demo.url).strip() == 'ok'
    assert demo.stop() == 0 and 'error' not in demo.log, demo.log


def test_wrk(demo):
    shown = run('wrk', '-t1', '-c32', '-d1s', demo.url + '/plaintext')
    assert 'Socket errors' not in shown and 'Non-2xx' not in shown, shown
    assert int(re.search(r'(\d+) requests in', shown).group(1)) > 100
    assert demo.stop() == 0 and 'error' not in demo.log, demo.log


@pytest.mark.parametrize('pipelined', ['1', '16'])
def test_h2load(demo, pipelined):
    shown = run('h2load', '--h1', '-n', '5000', '-c', '20', '-m', pipelined, demo.url + '/hello/h2load')
    assert '5000 succeeded, 0 failed, 0 errored, 0 timeout' in shown, shown
    assert 'status codes: 5000 2xx' in shown, shown
    assert demo.stop() == 0 and 'error' not in demo.log, demo.log
