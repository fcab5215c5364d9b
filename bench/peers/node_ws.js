// SPDX-License-Identifier: MIT
// The peer of the WebSocket table in Node: the package ws as one uses it. node node_ws.js PORT
const { WebSocketServer } = require('ws');

const server = new WebSocketServer({ port: Number(process.argv[2]), host: '127.0.0.1', maxPayload: 4 * 1024 * 1024 });
server.on('connection', (ws) => {
  ws.on('error', () => ws.terminate());
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
});
