# SPDX-License-Identifier: MIT
"""A thousand joins and leaves a second, of real sockets, in the real servers: each member gets every message of its stay once
and in order, and nothing of those who have left stays in memory.

TEST_CHURN_SECONDS (10) tells for how long; WEFT_CHURN_RATE (1000) how many join each second.
"""

import os
import resource
import subprocess

import pytest
from conftest import BUILD, SLOW

SECONDS = int(os.environ.get('TEST_CHURN_SECONDS', '10' if SLOW == 1 else '3'))
RATE = int(os.environ.get('WEFT_CHURN_RATE', '1000' if SLOW == 1 else '300'))
GROWTH_MOST = 6 << 20  # bytes between a third of the joins and the end: each that stayed would cost more than 1 KiB


def resident(server):
    with open('/proc/%d/statm' % server.process.pid) as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize('workers', [1, 2])
@pytest.mark.parametrize('program, path, says', [('broadcast', '/ws/chat/churn?n=', ''),
                                                 ('chat', '/chat/ws/churn?name=Ann', 'say x ')],
                         ids=['broadcast', 'chat'])
def test_each_gets_every_message_once_and_in_order(start, program, path, says, workers):
    server = start(program, '--listen', '127.0.0.1:0', '--workers', str(workers))
    command = [BUILD / 'tests/pytest/churn', str(server.port), path, str(SECONDS * RATE), str(RATE), says]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as churn:
        try:
            assert churn.stdout.readline() == 'a third\n', churn.stderr.read()
            before = resident(server)
            line, wrong = churn.communicate(timeout=60 + 20 * SECONDS)
        finally:
            churn.kill()
    assert churn.returncode == 0, wrong
    assert line.startswith('%d joins, ' % (SECONDS * RATE))
    print(line)
    if SLOW == 1:
        assert resident(server) - before < GROWTH_MOST
    assert server.stop() == 0
