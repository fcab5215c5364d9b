# SPDX-License-Identifier: MIT
import asyncio
import contextlib


class Pool:
    """Of connections, which are numbers; asyncio has none, and each database driver brings its own."""

    def __init__(self, limit):
        self.places, self.idle, self.count = asyncio.Semaphore(limit), [], 0

    async def log_in(self):
        await asyncio.sleep(0.005)
        self.count += 1
        print(f'connection {self.count}: opened')
        return self.count

    def log_out(self, connection):
        print(f'closed, of {self.count} in all')

    @contextlib.asynccontextmanager
    async def acquire(self):
        await asyncio.wait_for(self.places.acquire(), 0.5)
        connection = self.idle.pop() if self.idle else await self.log_in()
        try:
            yield connection
        except ConnectionError:
            self.log_out(connection)
        else:
            self.idle.append(connection)
        finally:
            self.places.release()

    def close(self):
        while self.idle:
            self.log_out(self.idle.pop())


async def query(pool):
    async with pool.acquire() as connection:
        await asyncio.sleep(0.02)
        if connection == 1:
            raise ConnectionError


async def run():
    pool = Pool(2)
    await asyncio.gather(*(query(pool) for _ in range(5)))
    print('five queries: success')
    async with pool.acquire(), pool.acquire():
        try:
            async with pool.acquire():
                pass
        except TimeoutError:
            print('a third: the deadline has passed')
    pool.close()


asyncio.run(run())
