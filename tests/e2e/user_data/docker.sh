#!/bin/bash
# A container with a published port that comes back with the machine.
set -eu
systemctl start docker
# An image of this machine's own Python, so that nothing has to be pulled.
mkdir -p /opt/app
echo '<p>from a container</p>' >/opt/app/index.html
tar -C / --exclude=__pycache__ --dereference -c usr/bin/python3.11 usr/lib/python3.11 usr/lib/x86_64-linux-gnu/libexpat.so.1 \
    usr/lib/x86_64-linux-gnu/libz.so.1 lib/x86_64-linux-gnu/libc.so.6 lib/x86_64-linux-gnu/libm.so.6 lib64/ld-linux-x86-64.so.2 \
    usr/lib/x86_64-linux-gnu/libssl.so.3 usr/lib/x86_64-linux-gnu/libcrypto.so.3 |
    docker import --change 'ENTRYPOINT ["/usr/bin/python3.11"]' - python:local
mkdir -p /srv/docker && cp /opt/app/index.html /srv/docker/
docker run -d --name app --restart unless-stopped -p 8080:80 -v /srv:/srv:ro python:local -m http.server --directory /srv 80
