# SPDX-License-Identifier: MIT
import asyncio


async def run():
    try:
        async with asyncio.timeout(0.04) as outer:
            try:
                async with asyncio.timeout(3600) as inner:
                    await asyncio.sleep(7200)
            finally:
                print('inside: the deadline has passed')
                print('the inner one struck:', 'yes' if inner.expired() else 'no')
    except TimeoutError:
        pass
    print('the outer one struck:', 'yes' if outer.expired() else 'no')


asyncio.run(run())
