// SPDX-License-Identifier: MIT
// Copyright (c) the Weft authors

// The peer of the TLS table in Node: https as one uses it. node_tls.js PORT CERT KEY
'use strict';
const fs = require('fs');
const https = require('https');

const [port, cert, key] = process.argv.slice(2);
https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }, (request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': 13 });
    response.end('Hello, World!');
}).listen(Number(port), '127.0.0.1');
