"""What a container in an instance has from it, as on EC2: the machine's size, and authorities that AWS's names have.

A container's /proc is a new one of the kernel's and tells the host's size, where the instance's own is
covered by files of its size. And the APIs answer here with a certificate of the cloud's authority, where
AWS's is vouched for by a public one, which every image knows. So the description of a container (the
`config.json` of https://github.com/opencontainers/runtime-spec) is changed before the runtime reads it: the
instance's files are mounted over the container's, and the environment, where the image leaves it to us,
names the instance's list of authorities. Nothing of that becomes part of an image: the files are in /proc,
/sys and /dev, which images do not keep. A hook of the runtime comes too late for mounts, and Docker has no
list of mounts or variables for all its containers.

And a container that is to have all rights gets those that the instance has: the runtime fails at others.
"""

import json
import os
import sys

SIZES = {
    "/proc": [f"/proc/{name}" for name in ("cpuinfo", "meminfo", "stat", "loadavg", "uptime", "swaps")],
    "/sys": [f"/sys/devices/system/cpu/{name}" for name in ("online", "possible", "present")],
}
# What the host adds to the instance's own authorities, by family of distributions, and the list of all.
AUTHORITIES = [
    ("/usr/local/share/ca-certificates/nines.crt", "/etc/ssl/certs/ca-certificates.crt"),
    ("/etc/pki/ca-trust/source/anchors/nines.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
]
INSIDE = "/dev/.nines/ca-certificates.crt"
# AWS's SDKs and command line; OpenSSL and Go; Node.
VARIABLES = ("AWS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
# By number, as in `linux/capability.h`.
CAPABILITIES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST "
    "NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
    "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM "
    "BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
).split()


def held(status="/proc/self/status"):
    """Rights that a process of this instance can have."""
    with open(status) as file:
        mask = next(int(line.split()[1], 16) for line in file if line.startswith("CapBnd:"))
    return {f"CAP_{name}" for number, name in enumerate(CAPABILITIES) if mask >> number & 1}


def authorities(exists=os.path.exists):
    """The instance's list of authorities, if the cloud's is among them."""
    return next((bundle for own, bundle in AUTHORITIES if exists(own) and exists(bundle)), None)


def mounts(spec, bundle, exists=os.path.exists):
    """The description with the instance's files in it."""
    of = {mount.get("destination"): mount.get("type") for mount in spec.get("mounts", [])}
    added = []
    for place, files in SIZES.items():
        # Where it is the instance's own (`--volume /proc:/proc`), the files are there already.
        if of.get(place) in ("proc", "sysfs"):
            added += [(file, file) for file in files if exists(file) and file not in of]
    if bundle and of.get("/dev") == "tmpfs":
        added.append((bundle, INSIDE))
    bind = lambda source, target: {"destination": target, "type": "bind", "source": source, "options": ["bind", "ro"]}
    return spec | {"mounts": spec.get("mounts", []) + [bind(*pair) for pair in added]}


def process(described, bundle, rights):
    """A process with the rights that can be had, and the variables that its image does not set itself."""
    sets = described.get("capabilities")
    if isinstance(sets, dict):
        described = described | {"capabilities": {name: [c for c in wanted or [] if c in rights] for name, wanted in sets.items()}}
    names = {line.partition("=")[0] for line in described.get("env") or []}
    if not bundle or names.intersection(VARIABLES):
        return described
    return described | {"env": (described.get("env") or []) + [f"{name}={INSIDE}" for name in VARIABLES]}


def adapt(path, change):
    with open(path) as file:
        before = json.load(file)
    after = change(before)
    if after != before:
        with open(path, "w") as file:
            json.dump(after, file)


def value_of(arguments, *names):
    """Of an option in either form: `--bundle DIR`, `--bundle=DIR`."""
    for at, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            return value if equals else next(iter(arguments[at + 1 :]), None)
    return None


def main(arguments):
    bundle, rights = authorities(), held()
    if "exec" in arguments:
        path = value_of(arguments, "--process", "-p")
        if path:
            adapt(path, lambda described: process(described, bundle, rights))
        return
    directory = value_of(arguments, "--bundle", "-b") or "."

    def change(spec):
        spec = mounts(spec, bundle)
        # Without the file (`--volume /dev:/dev`) nothing may name it.
        there = any(mount.get("destination") == INSIDE for mount in spec["mounts"])
        return spec | {"process": process(spec.get("process", {}), bundle if there else None, rights)}

    adapt(os.path.join(directory, "config.json"), change)


if __name__ == "__main__":
    main(sys.argv[1:])
