// SPDX-License-Identifier: MIT
// Reads replies with Node's fetch (undici) or node:http: node reader.mjs fetch|http < lines of "METHOD URL". Says for each the
// status and the body in hexadecimal digits, or "error" and why.
import http from 'node:http';
import { createInterface } from 'node:readline';

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

async function byFetch(method, url) {
    const reply = await fetch(url, { method, redirect: 'manual' });
    return [reply.status, Buffer.from(await reply.arrayBuffer())];
}

const byHttp = (method, url) => new Promise((resolve, reject) => {
    const request = http.request(url, { agent, method });
    request.on('response', (reply) => {
        const pieces = [];
        reply.on('data', (piece) => pieces.push(piece));
        reply.on('end', () => resolve([reply.statusCode, Buffer.concat(pieces)]));
        reply.on('error', reject);
    });
    request.on('error', reject);
    request.end();
});

const read = process.argv[2] === 'fetch' ? byFetch : byHttp;
for await (const line of createInterface({ input: process.stdin })) {
    try {
        const [status, body] = await read(...line.split(' '));
        console.log(`${status} ${body.toString('hex')}`);
    } catch (problem) {
        console.log(`error ${problem} ${problem.cause ?? ''}`);
    }
    if (read === byHttp)
        await new Promise(setImmediate); // the agent has its connection back only then
}
agent.destroy();
process.exit(0);
