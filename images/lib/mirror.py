"""Which mirror to build from, and the host's proxy settings.

A host that runs the same distribution has a mirror configured that works there, often a near one; any
other host takes the public default. The choice is used while building only: images always name the default.
"""

import subprocess

ARCHIVE = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
# Of each distribution: the archives' labels and places, and the components that images take.
DISTRIBUTIONS = {
    "debian": (("Debian", ARCHIVE), ("Debian-Security", SECURITY), "main"),
    "ubuntu": (("Ubuntu", "http://archive.ubuntu.com/ubuntu"), (None, "http://security.ubuntu.com/ubuntu"), "main universe"),
}


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def choose(index_targets, distribution="debian"):
    """(archive, security) from the lines of `apt-get indextargets`."""
    archive, security, _ = DISTRIBUTIONS[distribution]
    labels = (archive[0], security[0])
    found = {}
    for line in index_targets.splitlines():
        uri, _, label = line.partition(" ")
        if label in labels and uri.startswith(("http://", "https://")):
            found.setdefault(label, uri.rstrip("/"))
    return found.get(archive[0], archive[1]), found.get(security[0], security[1])


def of_host(distribution="debian"):
    lines = output("apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages")
    return choose(lines, distribution)


def proxy_environment():
    """The proxy that the host's apt uses, in the form that the apt of the build reads."""
    found = {}
    for scheme in ("http", "https"):
        line = output("apt-config", "shell", "VALUE", f"Acquire::{scheme}::Proxy").strip()
        value = line.removeprefix("VALUE=").strip("'\"")
        if value and value != "DIRECT":
            found[f"{scheme}_proxy"] = value
    return found


def sources(archive, security, suite, distribution="debian"):
    components = DISTRIBUTIONS[distribution][2]
    return [
        f"deb {archive} {suite} {components}",
        f"deb {archive} {suite}-updates {components}",
        f"deb {security} {suite}-security {components}",
    ]
