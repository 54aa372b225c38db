#!/bin/sh
# The swap file that small machines are given by habit. Where it cannot be had, the rest goes on.
fallocate -l 64M /swapfile && chmod 600 /swapfile && mkswap /swapfile >/dev/null
if swapon /swapfile; then
    echo '/swapfile none swap sw 0 0' >>/etc/fstab
else
    echo 'no swap on this machine'
fi
mkdir -p /srv/swap
free -m >/srv/swap/index.html
systemd-run --unit site python3 -m http.server --directory /srv 8080
