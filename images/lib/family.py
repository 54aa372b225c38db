"""Families of distributions: what differs between their images.

A root file system says in `etc/os-release` which one it is of; what is like a known one counts as it.
"""

import os
import shlex

APT = {
    "packages": "apt",
    "ssh": "ssh.service",
    "install": "apt-get update -q && apt-get install -q -y --no-install-recommends systemd systemd-sysv dbus sudo openssh-server "
    "iproute2 iputils-ping iptables curl ca-certificates procps less python3 python3-yaml python3-jinja2 && apt-get clean && rm -rf /var/lib/apt/lists/*",
}
DNF = {
    "packages": "dnf",
    "ssh": "sshd.service",
    "install": "dnf install -q -y systemd dbus sudo openssh-server openssh-clients iproute iputils iptables-nft ca-certificates "
    "procps-ng less python3 python3-pyyaml python3-jinja2 shadow-utils && dnf clean all",
}
# Of the default user, as far as an image has them.
GROUPS = ["adm", "audio", "cdrom", "dialout", "dip", "floppy", "netdev", "plugdev", "sudo", "video"]
FAMILIES = {
    "debian": APT | {"user": "admin", "gecos": "Debian", "groups": GROUPS},
    "ubuntu": APT | {"user": "ubuntu", "gecos": "Ubuntu", "groups": GROUPS},
    "amzn": DNF | {"user": "ec2-user", "gecos": "EC2 Default User", "groups": ["adm", "wheel", "systemd-journal"]},
    "fedora": DNF | {"user": "fedora", "gecos": "Fedora", "groups": ["adm", "wheel", "systemd-journal"]},
}


def of(rootfs):
    """The family's name, or None for one that is not known."""
    release = {}
    for name in ("etc/os-release", "usr/lib/os-release"):
        path = os.path.join(rootfs, name)
        # A link in a foreign root may lead out of it.
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, errors="replace") as file:
                lines = (line.strip().partition("=") for line in file if "=" in line)
                release = {key: " ".join(shlex.split(value)) for key, _, value in lines}
            break
    for word in [release.get("ID", ""), *release.get("ID_LIKE", "").split()]:
        if word in FAMILIES:
            return word
    return None
