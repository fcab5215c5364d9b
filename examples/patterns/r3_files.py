# SPDX-License-Identifier: MIT
import asyncio
import os
import shutil
import tempfile


def save(path, text):
    """Replaces it whole, or not at all."""
    with open(path + '.new', 'w') as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + '.new', path)


def append(path, text):
    with open(path, 'a') as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def load(path):
    with open(path) as file:
        return file.read()


async def print_lines(path, most):
    """asyncio has no files: each call that may block goes to a thread."""
    file = await asyncio.to_thread(open, path)
    for number in range(1, most + 1):
        line = await asyncio.to_thread(file.readline)
        if not line:
            break
        print(f'line {number}: {line.rstrip()}')
    file.close()


async def write_late(path):
    with open(path, 'r+b', buffering=0) as file:
        await asyncio.sleep(0.1)
        file.write(b'at last\n')


class Ticker:
    count = 0

    async def run(self):
        while True:
            await asyncio.sleep(0.01)
            self.count += 1


async def read_slowly(path):
    ticker = Ticker()
    background = [asyncio.create_task(ticker.run()), asyncio.create_task(write_late(path))]
    await asyncio.sleep(0.02)
    before = ticker.count
    await print_lines(path, 1)
    print('meanwhile the ticker went on:', 'yes' if ticker.count - before >= 3 else 'no')
    for task in background:
        task.cancel()


async def use_files():
    folder = await asyncio.to_thread(tempfile.mkdtemp)
    names, slow = folder + '/names', folder + '/slow'

    await asyncio.to_thread(save, names, 'Ann\nBob\n')
    await asyncio.to_thread(append, names, 'Cid\n')
    text = await asyncio.to_thread(load, names)
    print(len(text), 'bytes')
    await print_lines(names, 10)

    os.mkfifo(slow, 0o600)
    await read_slowly(slow)
    await asyncio.to_thread(shutil.rmtree, folder)


asyncio.run(use_files())
