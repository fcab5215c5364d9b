# SPDX-License-Identifier: MIT
import asyncio
import http.server
import threading
import urllib.request


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        n = int(self.path.rsplit('/', 1)[1])
        print('  asked for page', n)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f'items {n * 2 - 1} and {n * 2}'.encode())

    def log_message(self, *_):
        pass


def fetch(url):
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url).read().decode()


async def fetch_pages(url, count):
    for n in range(1, count + 1):
        yield await asyncio.to_thread(fetch, f'{url}/{n}')


async def consume():
    with http.server.HTTPServer(('127.0.0.1', 0), Pages) as server:
        threading.Thread(target=server.serve_forever).start()
        async for page in fetch_pages(f'http://127.0.0.1:{server.server_port}/pages', 3):
            print(page)
        server.shutdown()


asyncio.run(consume())
