# SPDX-License-Identifier: MIT
import asyncio
import random


async def take_a_risk():
    await asyncio.sleep(random.randrange(10) / 1000)
    if random.randrange(10) < 3:
        raise OSError


async def run():
    random.seed(7)
    outcomes = await asyncio.gather(*(take_a_risk() for _ in range(10)), return_exceptions=True)
    failed = sum(isinstance(outcome, OSError) for outcome in outcomes)
    worked = len(outcomes) - failed
    print(f'{worked} worked, {failed} failed, {worked + failed} in all')


asyncio.run(run())
