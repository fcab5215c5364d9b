# SPDX-License-Identifier: MIT
import asyncio


async def send_letters(letters):
    for i in range(1, 4):
        await asyncio.sleep(0.1)
        await letters.put(i)
    await letters.put(None)


async def make_calls(calls, closing):
    await asyncio.sleep(0.15)
    await calls.put(555.5)
    await asyncio.sleep(1)
    closing.set()


async def attend(letters, calls, closing):
    def wait_for(awaitable):
        return asyncio.create_task(awaitable)
    letter, call, end = wait_for(letters.get()), wait_for(calls.get()), wait_for(closing.wait())
    while True:
        cases = {case for case in (letter, call, end) if case}
        done, _ = await asyncio.wait(cases, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
        if letter in done and letter.result() is None:
            print('no more letters')
            letter = None
        elif letter in done:
            print('letter', letter.result())
            letter = wait_for(letters.get())
        elif call in done:
            print('call from', call.result())
            call = wait_for(calls.get())
        elif not done:
            print('quiet for 500 ms')
        else:
            print('closing')
            call.cancel()
            return


async def day():
    letters, calls, closing = asyncio.Queue(1), asyncio.Queue(1), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(send_letters(letters))
        group.create_task(make_calls(calls, closing))
        await attend(letters, calls, closing)


asyncio.run(day())
