#!/bin/bash
# A Node server kept up by systemd.
set -e
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends nodejs
mkdir -p /opt/node
cat >/opt/node/server.js <<'CODE'
const http = require("http");
const os = require("os");
http.createServer((request, response) => {
  response.end(`node with ${os.cpus().length} CPUs and ${Math.round(os.totalmem() / 2 ** 20)} MiB\n`);
}).listen(8080);
CODE
systemd-run --unit node-server --property Restart=always /usr/bin/node /opt/node/server.js
