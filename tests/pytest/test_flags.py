# SPDX-License-Identifier: MIT
"""Flags, environment, and what is said when a program cannot start."""

import json
import signal
import socket

import pytest

from conftest import URL, read_reply

USAGE = ('--listen', '--port', '--drain', '--log-level', '--debug', '--help', '--version', 'WEFT_PORT', 'SIGTERM')


def ended(server):
    """(status, the lines of standard error, standard output)"""
    return server.wait(), server.log.splitlines(), server.out


def test_help(start):
    status, lines, out = ended(start('demo', '--help'))
    assert status == 0 and not lines and all(word in out for word in USAGE)
    assert all(len(line) < 130 for line in out.splitlines())


def test_version(start):
    status, lines, out = ended(start('hello', '--version'))
    assert status == 0 and not lines and out.startswith('weft ') and out.count('\n') == 1


@pytest.mark.parametrize('arguments', [
    ['--nonsense'], ['nonsense'], ['--port'], ['--port', ''], ['--port', 'x'], ['--port', '65536'], ['--port', '-1'],
    ['--port=8080x'], ['--port', '1', '--port', '2'],
    ['--drain', 'soon'], ['--drain', '-1'], ['--drain', '1e99'],
    ['--log-level', 'loud'],
    ['--debug=1'], ['--listen'], ['--listen', ''], ['--listen', 'nowhere'], ['--listen', '127.0.0.1:x'],
    ['--listen', '127.0.0.1:70000'], ['--listen', '[::1'], ['--listen', 'unix:'], ['--listen', 'unix:/' + 'x' * 200], ['-h'],
], ids=' '.join)
def test_bad_flags(start, arguments):
    status, lines, out = ended(start('demo', *arguments))
    assert status == 2 and len(lines) == 1 and not out
    assert (arguments[0].split('=')[0] in lines[0]) and '--help' in lines[0]


@pytest.mark.parametrize('variable', ['WEFT_PORT', 'WEFT_DRAIN', 'WEFT_LOG_LEVEL', 'WEFT_DEBUG', 'WEFT_LISTEN'])
def test_bad_environment(start, variable):
    status, lines, out = ended(start('demo', env={variable: 'x'}))
    assert status == 2 and len(lines) == 1 and not out and variable in lines[0]


def test_environment(start):
    demo = start('demo', env={'WEFT_LISTEN': '127.0.0.1:0', 'WEFT_LOG_LEVEL': 'info', 'WEFT_DRAIN': '0.5', 'WEFT_PORT': ''})
    demo.wait_log(URL)
    assert demo.stop() == 0 and 'at most 0.5 s' in demo.log


def test_flags_win_over_the_environment(start):
    demo = start('demo', '--port', '0', '--drain=0.25', env={'WEFT_PORT': '1', 'WEFT_LISTEN': 'nowhere', 'WEFT_DRAIN': '9'})
    demo.wait_log(URL)
    assert demo.stop() == 0 and ('at most 0.2 s' in demo.log or 'at most 0.3 s' in demo.log)


def test_log_level(start):
    demo = start('demo', '--listen', '127.0.0.1:0', '--debug')
    with demo.connect() as sock:
        sock.sendall(b'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
        read_reply(sock)
    assert demo.stop(signal.SIGINT) == 0 and ' debug ' in demo.log
    assert 'still alive' not in demo.log  # the task that waits for a next request is no leak
    quiet = start('misbehave', '--listen', '127.0.0.1:0', '--log-level', 'error')
    with pytest.raises(AssertionError):
        quiet.wait_log('listening', 0.3)
    assert quiet.stop() == 0 and quiet.log == ''


def test_the_log_as_json(start):
    demo = start('demo', '--listen', '127.0.0.1:0', '--log-format', 'json')
    demo.wait_log(URL)
    assert demo.stop() == 0
    records = [json.loads(line) for line in demo.log.splitlines()]
    assert len(records) > 2 and all(set(record) - {'task'} == {'time', 'level', 'message'} for record in records)
    assert records[0]['level'] == 'info' and records[0]['task'] == 'serve'


@pytest.mark.parametrize('option', [None, socket.SO_REUSEADDR, socket.SO_REUSEPORT],
                         ids=['plain', 'SO_REUSEADDR', 'SO_REUSEPORT'])
def test_address_in_use(start, option):
    with socket.socket() as other:
        if option:
            other.setsockopt(socket.SOL_SOCKET, option, 1)
        other.bind(('127.0.0.1', 0))
        other.listen()
        address = '127.0.0.1:%d' % other.getsockname()[1]
        status, lines, _ = ended(start('demo', '--listen', address))
        assert status == 1 and len(lines) == 1 and address in lines[0] and 'in use' in lines[0], lines


def test_address_in_use_by_another_of_us(start, tmp_path):
    demo = start('demo', '--listen', '127.0.0.1:0', '--listen', 'unix:%s/s' % tmp_path)
    status, lines, _ = ended(start('demo', '--listen', '127.0.0.1:%d' % demo.port))
    assert status == 1 and len(lines) == 1 and 'in use' in lines[0]
    status, lines, _ = ended(start('demo', '--listen', 'unix:%s/s' % tmp_path))
    assert status == 1 and len(lines) == 1 and 'in use' in lines[0]
    # With one good address and one that is taken, it does not start at all.
    status, lines, _ = ended(start('demo', '--listen', '127.0.0.1:0', '--listen', '127.0.0.1:%d' % demo.port))
    assert status == 1 and len(lines) == 1 and 'in use' in lines[0]
    assert demo.stop() == 0


def test_an_address_of_another_machine(start):
    status, lines, _ = ended(start('demo', '--listen', '192.0.2.1:8080'))
    assert status == 1 and len(lines) == 1 and '192.0.2.1:8080' in lines[0]


def test_a_stale_unix_socket_is_replaced(start, tmp_path):
    path = str(tmp_path / 's')
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    demo = start('demo', '--listen', 'unix:' + path)
    demo.wait_log('listening on unix:')
    assert demo.stop() == 0


def test_duplicate_routes(start):
    status, lines, _ = ended(start('duplicate', '--port', '0'))
    assert status == 2 and len(lines) == 2
    assert '/users/{id}' in lines[0] and '/users/{name}' in lines[0] and 'no/slash' in lines[1]


@pytest.mark.parametrize('networks', ['', 'localhost', '10.0.0.1/8', '10.0.0.0/8,'])
def test_bad_networks(start, networks):
    demo = start('demo', '--listen', '127.0.0.1:0', '--proxy-protocol', networks)
    assert demo.wait() in (1, 2)
    assert 'listening' not in demo.log
