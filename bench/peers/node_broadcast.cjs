// SPDX-License-Identifier: MIT
// Copyright (c) the Weft authors
// The broadcast server on Node's ws: what one says goes to all. node_broadcast.cjs PORT; ws is found by NODE_PATH.
const { WebSocketServer } = require('ws');

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096, perMessageDeflate: false });
server.on('connection', (socket) => {
  socket.on('message', (data, isBinary) => {
    for (const member of server.clients) if (member.readyState === 1) member.send(data, { binary: isBinary });
  });
});
