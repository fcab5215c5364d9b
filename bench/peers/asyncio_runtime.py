#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) the Weft authors
"""A peer of bench/runtime in Python's asyncio. It prints "name best median" lines, in nanoseconds of processor
time (bytes for parked_bytes)."""
import asyncio
import logging
import os
import resource
import tempfile
import time

REPEATS = 5


async def report(name, count, once, *args):
    await once(*args)
    ns = []
    for _ in range(REPEATS):
        start = time.process_time_ns()
        await once(*args)
        ns.append((time.process_time_ns() - start) / count)
    ns.sort()
    print("%s %.1f %.1f" % (name, ns[0], ns[REPEATS // 2]), flush=True)


async def yielding(tasks, rounds):
    async def one():
        for _ in range(rounds):
            await asyncio.sleep(0)
    await asyncio.gather(*(one() for _ in range(tasks)))


async def spawning(rounds, each):
    async def nothing():
        return 0
    for _ in range(rounds):
        if each == 1:
            await asyncio.create_task(nothing())
        else:
            await asyncio.gather(*(asyncio.create_task(nothing()) for _ in range(each)))


async def timeouts_unused(count):
    for _ in range(count):
        async with asyncio.timeout(3600):
            pass


async def sleeps_cut(count):
    for _ in range(count):
        task = asyncio.create_task(asyncio.sleep(3600))
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass


async def handing_over(capacity, count):
    queue = asyncio.Queue(capacity)

    async def put():
        for i in range(count):
            await queue.put(i)
    task = asyncio.create_task(put())
    for _ in range(count):
        await queue.get()
    await task


async def queue_alone(count):
    queue = asyncio.Queue(1)
    for i in range(count):
        await queue.put(i)
        await queue.get()


async def holding(count, what):
    for _ in range(count):
        async with what:
            pass


async def events(count):
    there, back = asyncio.Event(), asyncio.Event()

    async def answer():
        for _ in range(count):
            await there.wait()
            there.clear()
            back.set()
    task = asyncio.create_task(answer())
    for _ in range(count):
        there.set()
        await back.wait()
        back.clear()
    await task


async def selects(count):
    queues = [asyncio.Queue(1) for _ in range(4)]

    async def put():
        for i in range(count):
            await queues[i % 4].put(i)
    task = asyncio.create_task(put())
    gets = {asyncio.create_task(queue.get()): queue for queue in queues}
    taken = 0
    while taken < count:
        done, _ = await asyncio.wait(gets, return_when=asyncio.FIRST_COMPLETED)
        for get in done:
            taken += 1
            queue = gets.pop(get)
            gets[asyncio.create_task(queue.get())] = queue
    await task
    for get in gets:
        get.cancel()


async def generating(count):
    async def count_up():
        for i in range(count):
            yield i
    async for _ in count_up():
        pass


async def offloading(count):
    for i in range(count):
        await asyncio.to_thread(int, i)


async def loading(count):
    def load(path):
        with open(path, "rb") as f:
            return f.read()
    with tempfile.NamedTemporaryFile() as f:
        f.write(bytes(4096))
        f.flush()
        for _ in range(count):
            assert len(await asyncio.to_thread(load, f.name)) == 4096


async def preading(count):
    with tempfile.TemporaryFile() as f:
        f.write(bytes(4096))
        f.flush()
        for _ in range(count):
            assert len(await asyncio.to_thread(os.pread, f.fileno(), 4096, 0)) == 4096


async def running(count):
    pipe = asyncio.subprocess.PIPE
    for _ in range(count):
        process = await asyncio.create_subprocess_exec("true", stdin=pipe, stdout=pipe, stderr=pipe)
        await process.communicate()


def resident_bytes():
    with open("/proc/self/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


async def parked(count):
    log = logging.getLogger("bench")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    end = asyncio.Event()

    async def one(i):
        log.warning("task %d of %s is ready", i, "many")
        await end.wait()
    before = resident_bytes()
    tasks = [asyncio.create_task(one(i)) for i in range(count)]
    await asyncio.sleep(0)
    each = (resident_bytes() - before) / count
    end.set()
    await asyncio.gather(*tasks)
    print("parked_bytes %.0f %.0f" % (each, each))


async def main():
    await report("yield_2", 20000, yielding, 2, 10000)
    await report("yield_1000", 20000, yielding, 1000, 20)
    await report("spawn_one", 10000, spawning, 10000, 1)
    await report("spawn_64", 64 * 150, spawning, 150, 64)
    await report("spawn_1000", 10000, spawning, 10, 1000)
    if hasattr(asyncio, "timeout"):  # since Python 3.11
        await report("timeout_unused", 10000, timeouts_unused, 10000)
    await report("sleep_cut", 5000, sleeps_cut, 5000)
    await report("queue_1", 10000, handing_over, 1, 10000)
    await report("queue_10", 10000, handing_over, 10, 10000)
    await report("queue_64", 10000, handing_over, 64, 10000)
    await report("queue_alone", 20000, queue_alone, 20000)
    await report("lock", 20000, holding, 20000, asyncio.Lock())
    await report("semaphore", 20000, holding, 20000, asyncio.Semaphore(1))
    await report("event", 10000, events, 10000)
    await report("select_4", 4000, selects, 4000)
    await report("generator_step", 40000, generating, 40000)
    await report("offload", 1000, offloading, 1000)
    await report("file_load", 1000, loading, 1000)
    await report("file_pread", 1000, preading, 1000)
    await report("process_run", 50, running, 50)
    await parked(50000)


asyncio.run(main())
