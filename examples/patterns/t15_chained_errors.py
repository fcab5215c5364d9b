# SPDX-License-Identifier: MIT
import asyncio
import errno
import logging


def read_file(name):
    raise OSError(errno.ENOENT, 'No such file or directory', name)


async def load_settings():
    await asyncio.sleep(0.001)
    try:
        read_file('settings.json')
    except OSError as error:
        raise RuntimeError('the settings cannot be loaded') from error


async def run():
    try:
        await asyncio.create_task(load_settings())
    except RuntimeError as error:
        print('cannot start:', error.__cause__.strerror)
        logging.exception('cannot start')


asyncio.run(run())
