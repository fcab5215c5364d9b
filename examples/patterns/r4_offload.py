# SPDX-License-Identifier: MIT
import asyncio
import time


def slow_hash(number):
    time.sleep(0.2)
    return number * 31


class Ticker:
    count = 0

    async def run(self):
        while True:
            await asyncio.sleep(0.01)
            self.count += 1


async def compare():
    ticker = Ticker()
    background = asyncio.create_task(ticker.run())
    await asyncio.sleep(0.05)

    before = ticker.count
    print(f'on the loop: {slow_hash(2)}, and {ticker.count - before} ticks')

    before = ticker.count
    print(f'in a thread: {await asyncio.to_thread(slow_hash, 3)}, and the ticker went on:',
          'yes' if ticker.count - before >= 5 else 'no')
    background.cancel()


asyncio.run(compare())
