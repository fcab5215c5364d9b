// SPDX-License-Identifier: MIT
// Node's fetch (undici) and node:http against the demo: node client.mjs URL. Says "ok", or throws.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';

const url = process.argv[2];
const text = async (path, options) => (await fetch(url + path, options)).text();

assert.equal(await text('/hello/W%C3%B6rld'), 'Hello, Wörld!');
assert.deepEqual(await (await fetch(url + '/json')).json(), { message: 'Hello, World!' });
assert.equal((await fetch(url + '/none')).status, 404);
assert.equal((await fetch(url + '/json', { method: 'DELETE' })).status, 405);
const head = await fetch(url + '/plaintext', { method: 'HEAD' });
assert.equal(head.headers.get('content-length'), '13');

// bodies: of known length, and in chunks
const data = randomBytes(700000);
const echoed = await fetch(url + '/echo', { method: 'POST', body: data, headers: { 'content-type': 'x/y' } });
assert.equal(echoed.headers.get('content-type'), 'x/y');
assert.deepEqual(Buffer.from(await echoed.arrayBuffer()), data);
async function* pieces() {
    for (let i = 0; i < 200; i++)
        yield data.subarray(0, 10000 + i);
}
const hash = createHash('sha256');
for await (const piece of pieces())
    hash.update(piece);
const answer = await text('/upload', { method: 'POST', body: pieces(), duplex: 'half' });
assert.ok(answer.includes(hash.digest('hex')), answer);

// replies: streamed, large, and left in the middle
assert.equal((await text('/stream?n=3')).trim().split('\n').length, 3);
assert.equal((await (await fetch(url + '/download/5000000')).arrayBuffer()).byteLength, 5000000);
const leaver = new AbortController();
const left = await fetch(url + '/download/500000000', { signal: leaver.signal });
await left.body.getReader().read();
leaver.abort();

// many at once
const many = await Promise.all(Array.from({ length: 300 }, (_, i) => text('/hello/' + i)));
many.forEach((got, i) => assert.equal(got, `Hello, ${i}!`));

// node:http with an agent that keeps one connection, and 100-continue
const by = url.startsWith('https') ? https : http;
const agent = new by.Agent({ keepAlive: true, maxSockets: 1 });
const ask = (path, body) => new Promise((resolve, reject) => {
    const request = by.request(url + path, { agent, method: body ? 'POST' : 'GET',
                                               headers: body ? { expect: '100-continue', 'content-length': body.length } : {} });
    let got = '', continued = false;
    request.on('continue', () => { continued = true; request.end(body); });
    request.on('response', (reply) => {
        reply.on('data', (piece) => { got += piece; });
        reply.on('end', () => resolve({ got, continued, reused: request.reusedSocket }));
    });
    request.on('error', reject);
    if (!body)
        request.end();
});
for (let i = 0; i < 20; i++) {
    const { got, reused } = await ask('/hello/' + i);
    assert.equal(got, `Hello, ${i}!`);
    assert.equal(reused, i > 0);
}
assert.deepEqual(await ask('/echo', 'words'), { got: 'words', continued: true, reused: true });
agent.destroy();
console.log('ok');
