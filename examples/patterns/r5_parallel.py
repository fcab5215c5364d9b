# SPDX-License-Identifier: MIT
import asyncio
import concurrent.futures
import math
import time

SLICES, SLICE = 100, 10000


def count_primes(number):
    return sum(n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1)) for n in range(number * SLICE, (number + 1) * SLICE))


async def measure(processes):
    start = time.monotonic()
    with concurrent.futures.ProcessPoolExecutor(processes) as pool:
        loop = asyncio.get_running_loop()
        counts = await asyncio.gather(*(loop.run_in_executor(pool, count_primes, number) for number in range(SLICES)))
    return sum(counts), (time.monotonic() - start) * 1000


async def compare():
    (primes, one), (again, all_cores) = await measure(1), await measure(None)
    print(f'{primes} primes; again: {again}')
    print(f'one core: {one:.0f} ms, all cores: {all_cores:.0f} ms, {one / all_cores:.1f} times as fast')


if __name__ == '__main__':
    asyncio.run(compare())
