# SPDX-License-Identifier: MIT
import asyncio
import contextlib


async def lines(name):
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(print, f'deferred: {name} is closed')
        try:
            for i in range(1, 1000):
                yield i
        except GeneratorExit:
            print('the body ends: cancelled')
            await asyncio.sleep(0.01)
            print('its clean-up could wait')
            raise


async def step():
    generator = lines('the file')
    for _ in range(2):
        print('line', await anext(generator))
    print('enough')
    await generator.aclose()


asyncio.run(step())
