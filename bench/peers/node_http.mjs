// SPDX-License-Identifier: MIT
// The peer of the HTTP table in Node: node:http as one uses it. node node_http.mjs PORT
import http from 'node:http';

const piece = Buffer.alloc(65536, 'x');

http.createServer((request, reply) => {
    if (!request.url.startsWith('/bytes/')) {
        reply.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': 13 });
        reply.end('Hello, World!');
        return;
    }
    let left = Number(request.url.slice('/bytes/'.length));
    reply.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': left });
    const send = () => {
        while (left > 0) {
            const size = Math.min(left, piece.length);
            left -= size;
            if (!reply.write(piece.subarray(0, size)) && left > 0) {
                reply.once('drain', send);
                return;
            }
        }
        reply.end();
    };
    send();
}).listen(Number(process.argv[2]), '127.0.0.1');
