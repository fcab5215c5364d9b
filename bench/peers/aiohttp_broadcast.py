#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) the Weft authors
"""The broadcast server on aiohttp: what one says goes to all. aiohttp_broadcast.py PORT"""
import sys

from aiohttp import WSMsgType, web

members = set()


async def serve(request):
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    members.add(socket)
    try:
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                for member in list(members):
                    await member.send_str(message.data)
    finally:
        members.discard(socket)
    return socket


app = web.Application()
app.router.add_get("/{path:.*}", serve)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), backlog=4096, print=None, access_log=None)
