# SPDX-License-Identifier: MIT
import asyncio
import time


async def fail():
    raise OSError('the printer is on fire')


async def never_awaited():
    asyncio.create_task(fail())  # "Task exception was never retrieved", once it is collected


async def hold_at_exit(lock):
    await lock.acquire()  # nobody says so


async def sleep_that_blocks():
    time.sleep(1)  # "Executing <Task ...> took 1.001 seconds"; asyncio.sleep would let others run


async def run():
    lock = asyncio.Lock()
    await asyncio.gather(never_awaited(), hold_at_exit(lock))
    done = asyncio.Event()  # an event, or a lock, that is left is collected
    print('done:', 'yes' if done.is_set() else 'not yet')
    await sleep_that_blocks()


asyncio.run(run(), debug=True)
