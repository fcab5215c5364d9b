# SPDX-License-Identifier: MIT
# Copyright (c) the Weft authors
"""The peer of the HTTP table in Python: aiohttp as one uses it. aiohttp_http.py PORT"""
import sys

from aiohttp import web

PIECE = b"x" * 65536


async def plaintext(_):
    return web.Response(text="Hello, World!")


async def some_bytes(request):
    left = int(request.match_info["size"])
    if left <= len(PIECE):
        return web.Response(body=PIECE[:left])
    reply = web.StreamResponse(headers={"Content-Length": str(left)})
    await reply.prepare(request)
    while left > 0:
        size = min(left, len(PIECE))
        await reply.write(PIECE[:size])
        left -= size
    return reply


app = web.Application()
app.add_routes([web.get("/plaintext", plaintext), web.get("/bytes/{size}", some_bytes)])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
