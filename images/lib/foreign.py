"""Root file systems made by others: of a registry, of `docker save`, of a tar.

skopeo fetches and umoci unpacks: both check every layer against its digest; skopeo takes mirrors from
registries.conf and logins from docker's config.json, as `docker login` leaves them. A registry client
and an unpacker of our own would be a second truth about formats that others define.
"""

import lzma
import os
import re
import subprocess
import tarfile
import zlib

from . import bootstrap, family, mirror, workdir
from .workdir import say

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def name_of(reference):
    """`registry/team/ubuntu:24.04` is `ubuntu-24.04` here."""
    last = reference.partition("@")[0].rsplit("/", 1)[-1]
    return checked_name(last.replace(":", "-"))


def checked_name(name):
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", name):
        raise SystemExit(f"{name!r} is no name for an image: lower-case letters, digits, '.', '-' and '_'")
    return name


def kind_of(path):
    """`oci`, `docker` or `rootfs`: what a file that is to be imported holds."""
    try:
        with tarfile.open(path) as tar:
            names = {os.path.normpath(name) for name in tar.getnames()}
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise SystemExit(f"{path} is no tar archive: {error}") from error
    except OSError as error:
        raise SystemExit(f"{path} cannot be read: {error.strerror or error}") from error
    if {"oci-layout", "index.json"} <= names:
        return "oci"
    if "manifest.json" in names:
        return "docker"
    return "rootfs"


def pull(reference, rootfs, scratch, insecure):
    """A registry's image, of this machine's architecture, unpacked; gives its digest."""
    bootstrap.require("skopeo", "skopeo")
    options = ["--src-tls-verify=false"] if insecure else []
    say(f"pulling {reference}")
    return unpack(f"docker://{reference}", rootfs, scratch, options)


def load(path, rootfs, scratch):
    """A file's root file system, unpacked; gives its digest."""
    kind = kind_of(path)
    say(f"unpacking {path}")
    if kind != "rootfs":
        bootstrap.require("skopeo", "skopeo")
        return unpack(f"{kind}-archive:{path}", rootfs, scratch, [])
    os.mkdir(rootfs)
    run(["tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", path, "-C", rootfs])
    done = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
    return done.stdout.split()[0]


def unpack(source, rootfs, scratch, options):
    bootstrap.require("umoci", "umoci")
    layout = os.path.join(scratch, "layout")
    machine = os.uname().machine
    # Whose word an image is must not be asked for here: digests are checked, signatures are not.
    copy = ["skopeo", "--insecure-policy", "--override-os", "linux", "--override-arch", ARCHITECTURES.get(machine, machine), "copy", "--quiet"]
    run([*copy, *login(), *options, source, f"oci:{layout}:image"])
    say("unpacking its layers")
    run(["umoci", "raw", "unpack", "--image", f"{layout}:image", rootfs])
    with open(os.path.join(layout, "index.json"), "rb") as file:
        found = re.search(rb"sha256:([0-9a-f]{64})", file.read())
    workdir.remove(layout)
    return found.group(1).decode() if found else ""


def login():
    """skopeo looks at ~/.docker/config.json by itself, but not where DOCKER_CONFIG says."""
    path = os.path.join(os.environ.get("DOCKER_CONFIG", ""), "config.json")
    return ["--authfile", path] if os.environ.get("DOCKER_CONFIG") and os.path.isfile(path) else []


def run(command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", pass_fds=workdir.inherited, **options)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise SystemExit(f"{command[0]} failed: " + "\n".join(said[-8:]))


def lacks(rootfs):
    """What an instance needs and this root has not, most important first; an empty list boots and serves."""
    def has(*places):
        return any(os.path.lexists(os.path.join(rootfs, place)) for place in places)

    found = []
    if not has("sbin/init", "usr/sbin/init"):
        found.append("an init (systemd): it does not boot")
    elif not has("lib/systemd/systemd", "usr/lib/systemd/systemd"):
        found.append("systemd: it boots its own init, without readiness and user data")
    if not has("usr/bin/python3"):
        found.append("python3: no user data runs")
    elif not (has("usr/lib/python3/dist-packages/yaml") or any_yaml(rootfs)):
        found.append("python3-yaml: no #cloud-config runs, scripts do")
    if not has("usr/sbin/sshd"):
        found.append("sshd: no ssh, `nines shell` works")
    return found


def any_yaml(rootfs):
    library = os.path.join(rootfs, "usr/lib64")
    homes = os.listdir(library) if os.path.isdir(library) else []
    return any(os.path.isdir(os.path.join(library, home, "site-packages/yaml")) for home in homes if home.startswith("python3"))


# Mounts and processes end with the PID namespace; nothing starts services in a chroot.
INSTALL = """
set -e
root=$1
mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/etc" "$root/usr/sbin"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
test ! -e /etc/resolv.conf || { rm -f "$root/etc/resolv.conf"; cp /etc/resolv.conf "$root/etc/resolv.conf"; }
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
chroot "$root" /bin/sh -ec "$2"
rm -f "$root/usr/sbin/policy-rc.d"
"""


def install(rootfs):
    """Adds what is lacking by the package manager of the root itself."""
    of = family.of(rootfs)
    if of is None:
        raise SystemExit("--install knows the package managers of Debian, Ubuntu, Amazon Linux and Fedora, and this root is of none")
    say(f"installing what an instance needs, from {of}'s packages")
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive",
        "SYSTEMD_OFFLINE": "1", **mirror.proxy_environment(),
    }
    run(["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child",
         "sh", "-c", INSTALL, "install", rootfs, family.FAMILIES[of]["install"]], env=environment)
