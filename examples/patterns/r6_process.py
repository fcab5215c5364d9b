# SPDX-License-Identifier: MIT
import asyncio
from asyncio.subprocess import PIPE


async def run_whole():
    process = await asyncio.create_subprocess_exec('sort', '-u', stdin=PIPE, stdout=PIPE)
    output, _ = await process.communicate(b'pear\napple\npear\nfig\n')
    print(f'sort: status {process.returncode}\n{output.decode()}', end='')


async def talk():
    process = await asyncio.create_subprocess_exec(
        'sh', '-c', 'while read name; do echo Hello, $name; done; exit 3', stdin=PIPE, stdout=PIPE)
    for name in b'Ann\n', b'Bob\n':
        process.stdin.write(name)
        await process.stdin.drain()
        line = await process.stdout.readline()
        print('it says:', line.decode().rstrip())
    process.stdin.close()
    async for line in process.stdout:
        print('and then:', line.decode().rstrip())
    print('it ended with status', await process.wait())


async def run_too_long():
    process = await asyncio.create_subprocess_exec('sleep', '60')
    try:
        await asyncio.wait_for(process.wait(), 0.1)
    except asyncio.TimeoutError:
        process.terminate()
        await process.wait()
        print('sleep: the deadline has passed')


async def use_processes():
    await run_whole()
    await talk()
    await run_too_long()


asyncio.run(use_processes())
