#!/bin/bash
# An application in a virtual environment, run by gunicorn under systemd as a user of its own.
set -euxo pipefail
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv gunicorn
useradd --system --home-dir /opt/app --shell /usr/sbin/nologin app
python3 -m venv --system-site-packages /opt/app
cat >/opt/app/hello.py <<'CODE'
import sys


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"venv {sys.prefix} {environ['PATH_INFO']}\n".encode()]
CODE
cat >/etc/systemd/system/hello.service <<'UNIT'
[Unit]
Description=Hello
After=network-online.target

[Service]
User=app
WorkingDirectory=/opt/app
ExecStart=/opt/app/bin/python -m gunicorn --bind 0.0.0.0:8080 hello:app
Restart=on-failure

[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --now hello
