# SPDX-License-Identifier: MIT
import asyncio
import io
import unittest


async def fetch(takes):
    await asyncio.sleep(takes)
    return 42


class FetchTests(unittest.IsolatedAsyncioTestCase):
    async def test_it_brings_a_value(self):
        self.assertEqual(await fetch(0.01), 42)

    async def test_it_is_cut_short_by_a_time_out(self):
        with self.assertRaises(TimeoutError):  # in real time: an hour would take an hour
            async with asyncio.timeout(0.01):
                await fetch(0.02)

    async def test_it_gives_nothing_back_when_cancelled(self):
        task = asyncio.create_task(fetch(0.01))
        await asyncio.sleep(0)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task


tests = unittest.defaultTestLoader.loadTestsFromTestCase(FetchTests)
done = unittest.TextTestRunner(stream=io.StringIO()).run(tests)
print(done.testsRun, 'tests,', len(done.failures) + len(done.errors), 'failed')
