# SPDX-License-Identifier: MIT
# Copyright (c) the Weft authors
"""The peer of the WebSocket table in Python: aiohttp as one uses it. aiohttp_ws.py PORT"""
import sys

from aiohttp import WSMsgType, web


async def echo(request):
    ws = web.WebSocketResponse(max_msg_size=4 * 1024 * 1024)
    await ws.prepare(request)
    async for message in ws:
        if message.type == WSMsgType.BINARY:
            await ws.send_bytes(message.data)
        elif message.type == WSMsgType.TEXT:
            await ws.send_str(message.data)
    return ws


app = web.Application()
app.add_routes([web.get("/", echo)])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
