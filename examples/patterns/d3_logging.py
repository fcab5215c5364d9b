# SPDX-License-Identifier: MIT
import asyncio
import json
import logging
import sys
import time

log = logging.getLogger('import')


class AsText(logging.Formatter):
    converter = time.gmtime
    default_time_format, default_msec_format = '%Y-%m-%dT%H:%M:%S', '%s.%03dZ'

    def format(self, record):
        task = asyncio.current_task().get_name()
        return f'{self.formatTime(record)} {record.levelname.lower():7} [{task}] {record.getMessage()}'


class AsJson(AsText):
    def format(self, record):
        return json.dumps({'time': self.formatTime(record), 'level': record.levelname.lower(),
                           'task': asyncio.current_task().get_name(), 'message': record.getMessage()})  # fmt: skip


async def read(file):
    log.debug('opens %s', file)
    log.info('read 3 rows of %s', file)
    await asyncio.sleep(0)
    log.warning('row 2 has "no\nname"')


async def run():
    handler = logging.StreamHandler(sys.stdout)
    log.addHandler(handler)
    for formatter, level, file in (AsText(), logging.DEBUG, 'a.csv'), (AsJson(), logging.INFO, 'b.csv'):
        handler.setFormatter(formatter)
        log.setLevel(level)
        await asyncio.create_task(read(file), name='import')
    log.removeHandler(handler)


asyncio.run(run())
