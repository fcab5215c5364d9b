// SPDX-License-Identifier: MIT
// Node's ws: echoes of each size and kind, with and without compression, a ping, a close. node client.js URL; exits 0 if all is right.
const crypto = require('crypto');
const WebSocket = require('ws');

function run(url, options) {
  return new Promise((resolve, reject) => {
    const sizes = [0, 1, 125, 126, 65535, 65536, 1000000];
    const ws = new WebSocket(url, options);
    const expected = [];
    ws.on('error', reject);
    ws.on('open', () => {
      for (const size of sizes) {
        const bytes = crypto.randomBytes(size);
        for (let i = 0; i < size; i++) bytes[i] &= 0x7f;
        expected.push([bytes, true], [bytes.toString('latin1'), false]);
        ws.send(bytes);
        ws.send(bytes.toString('latin1'));
      }
      ws.ping('there?');
    });
    let pongs = 0;
    ws.on('pong', (data) => { pongs += data.toString() === 'there?'; });
    ws.on('message', (data, isBinary) => {
      const [want, wantBinary] = expected.shift();
      if (isBinary !== wantBinary || !Buffer.from(want).equals(data)) reject(new Error('another message came back'));
      if (expected.length === 0) ws.close(4000, 'done');
    });
    ws.on('close', (code) => {
      if (code !== 4000 || expected.length > 0 || pongs !== 1) reject(new Error('closed with ' + code));
      resolve(ws.extensions);
    });
  });
}

(async () => {
  const url = process.argv[2];
  await run(url, { perMessageDeflate: false });
  await run(url, { perMessageDeflate: true });
  await run(url, { perMessageDeflate: { threshold: 0, serverMaxWindowBits: 10, clientMaxWindowBits: 9 } });
})().catch((error) => { console.error(error); process.exit(1); });
