"""Which Debian mirror to build from, and the host's proxy settings.

A host that runs Debian has a mirror configured that works there, often a near one; any other host
takes the public default. The choice is used while building only: images always name the default.
"""

import subprocess

ARCHIVE = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def choose(index_targets):
    """(archive, security) from the lines of `apt-get indextargets`."""
    found = {}
    for line in index_targets.splitlines():
        uri, _, label = line.partition(" ")
        if label in ("Debian", "Debian-Security") and uri.startswith(("http://", "https://")):
            found.setdefault(label, uri.rstrip("/"))
    return found.get("Debian", ARCHIVE), found.get("Debian-Security", SECURITY)


def of_host():
    return choose(output("apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages"))


def proxy_environment():
    """The proxy that the host's apt uses, in the form that the apt of the build reads."""
    found = {}
    for scheme in ("http", "https"):
        line = output("apt-config", "shell", "VALUE", f"Acquire::{scheme}::Proxy").strip()
        value = line.removeprefix("VALUE=").strip("'\"")
        if value and value != "DIRECT":
            found[f"{scheme}_proxy"] = value
    return found


def sources(archive, security, suite):
    return [
        f"deb {archive} {suite} main",
        f"deb {archive} {suite}-updates main",
        f"deb {security} {suite}-security main",
    ]
