#!/bin/sh
# What an image pipeline bakes: it serves as soon as the image boots.
mkdir -p /srv/golden
echo baked >/srv/golden/index.html
cat >/etc/systemd/system/site.service <<'UNIT'
[Service]
ExecStart=/usr/bin/python3 -m http.server --directory /srv 8080
[Install]
WantedBy=multi-user.target
UNIT
systemctl enable --now site
