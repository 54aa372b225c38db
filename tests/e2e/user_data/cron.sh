#!/bin/bash
# A job each minute.
apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends cron
mkdir -p /srv/cron
echo 'not yet' >/srv/cron/index.html
echo '* * * * * root date "+cron \%s" >/srv/cron/index.html' >/etc/cron.d/page
systemctl enable --now cron
systemd-run --unit site python3 -m http.server --directory /srv 8080
