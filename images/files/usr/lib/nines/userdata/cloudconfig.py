"""The modules of `#cloud-config`: one function per module, named as cloud-init names it.

Each takes the machine and the merged configuration. A key that no module reads is named on the
console: a silently ignored line costs more time than a missing feature.
"""

import grp
import os
import pwd
import shlex
import socket

from . import merge, yaml

APT = ["apt-get", "--option=Dpkg::Options::=--force-confold", "--option=Dpkg::Options::=--force-unsafe-io",
       "--assume-yes", "--quiet"]
# The program, and its words for reading the lists and for bringing everything up to date.
MANAGERS = {"apt": (APT, "update", "dist-upgrade"), "dnf": (["dnf", "--assumeyes", "--quiet"], "makecache", "upgrade")}

KNOWN = {
    "bootcmd", "write_files", "package_update", "package_upgrade", "packages", "runcmd", "hostname", "fqdn",
    "preserve_hostname", "prefer_fqdn_over_hostname", "manage_etc_hosts", "users", "user", "groups", "ssh_authorized_keys",
    "ssh_pwauth", "ssh_keys", "disable_root", "final_message", "timezone", "locale", "cloud_final_modules", "apt", "ca_certs",
    "ca-certs", "chpasswd", "password", "power_state", "phone_home", "mounts", "mount_default_fields",
    # Of no effect, which `system.not_here` tells.
    "swap", "ntp", "disk_setup", "fs_setup",
    # Said of things that are so already: output goes to the log, the root file system has its size.
    "output", "growpart", "resize_rootfs", "apt_preserve_sources_list", "cloud_config_modules",
    "cloud_init_modules", "ssh_deletekeys", "ssh_genkeytypes", "repo_update", "repo_upgrade", "datasource_list", "datasource",
    # With the older names of three.
    "package_reboot_if_required", "apt_update", "apt_upgrade", "apt_reboot_if_required",
}


def load(parts, machine):
    """One configuration of all parts, joined as each of them says."""
    reader = yaml()
    merged = {}
    for part in parts:
        try:
            config = reader.safe_load(part.content)
        except (reader.YAMLError, ValueError) as error:  # the latter of impossible dates and bytes
            machine.fail(f"{part.name} is not valid YAML: {error}")
            continue
        if config is None:
            continue
        if not isinstance(config, dict):
            machine.fail(f"{part.name} is not a mapping of keys; ignored")
            continue
        how = config.pop("merge_how", None) or config.pop("merge_type", None)
        config.pop("merge_type", None)
        try:
            merged = merge.merged(merged, config, merge.rules(how or part.merge or merge.DEFAULT))
        except (ValueError, KeyError, LookupError, TypeError) as error:
            machine.fail(f"{part.name} cannot be joined to what came before: {error}")
    for key in merged:
        if key not in KNOWN:
            machine.warn(f"cloud-config key {key!r} is not emulated; ignored")
    return merged


def shellify(commands):
    """A script of the commands: a text is a line of shell, a list is one command, word by word."""
    lines = ["#!/bin/sh"]
    for command in commands:
        if isinstance(command, str):
            lines.append(command)
        elif isinstance(command, list):
            lines.append(" ".join(shlex.quote(str(word)) for word in command))
        elif command is not None:
            raise ValueError(f"a command must be a text or a list, not {command!r}")
    return "\n".join(lines) + "\n"


def bootcmd(machine, config, instance):
    path = machine.write(f"var/lib/cloud/instances/{instance}/bootcmd", shellify(listed(config["bootcmd"])), 0o700)
    code = machine.run([path], INSTANCE_ID=instance)
    if code:
        raise OSError(f"bootcmd failed with exit code {code}")


def write_files(machine, config, deferred=False):
    problems = []
    import zlib  # as in `decoded`

    for entry in listed(config["write_files"]):
        if not isinstance(entry, dict):
            if not deferred:
                problems.append(f"{entry!r} is not a mapping of keys")
            continue
        if bool(entry.get("defer")) != deferred:
            continue
        try:
            write_file(machine, entry)
        except (OSError, EOFError, ValueError, TypeError, KeyError, LookupError, zlib.error) as error:
            problems.append(f"{entry.get('path')}: {error}")
    if problems:
        raise OSError("write_files: " + "; ".join(problems))


def write_file(machine, entry):
    if "source" in entry:
        raise ValueError("`source` is not emulated")
    path = machine.path(entry["path"])
    content = decoded(entry.get("content", ""), str(entry.get("encoding", "")))
    mode = entry.get("permissions", 0o644)
    mode = int(mode, 8) if isinstance(mode, str) else int(mode)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "ab" if entry.get("append") else "wb") as file:
        file.write(content)
    os.chmod(path, mode)
    if "owner" in entry:
        user, _, group = str(entry["owner"]).partition(":")
        uid = pwd.getpwnam(user).pw_uid if user else -1
        os.chown(path, uid, grp.getgrnam(group).gr_gid if group else -1)


def decoded(content, encoding):
    import base64  # both are slow to import, and few files need them
    import gzip

    content = content if isinstance(content, bytes) else str(content).encode()
    encoding = encoding.lower()
    if encoding not in ("", "text/plain", "b64", "base64", "gz", "gzip", "gz+b64", "gzip+b64", "gz+base64", "gzip+base64"):
        raise ValueError(f"unknown encoding {encoding!r}")
    if encoding.endswith(("b64", "base64")):
        content = base64.b64decode(content)
    return gzip.decompress(content) if encoding.startswith("gz") else content


def names(config, metadata_name):
    """The full name and the short one, either of which may be empty."""
    full = str(config.get("fqdn") or config.get("hostname") or metadata_name or "")
    short = str(config.get("hostname") or full).split(".")[0]
    if "." not in full and "." in str(metadata_name or ""):
        full = f"{full}.{metadata_name.partition('.')[2]}" if full else metadata_name
    return full, short


def hostname(machine, config, metadata_name):
    if config.get("preserve_hostname"):
        return
    full, short = names(config, metadata_name)
    if not short:
        return
    own = full if config.get("prefer_fqdn_over_hostname") else short
    if machine.root == "/" and socket.gethostname() != own:
        socket.sethostname(own)
    machine.write("etc/hostname", own + "\n")
    if config.get("manage_etc_hosts") is not None:
        return  # or somebody says himself what becomes of it
    hosts = machine.read("etc/hosts") or "127.0.0.1 localhost\n"
    if not any(short in line.split("#")[0].split()[1:] for line in hosts.splitlines()):
        machine.write("etc/hosts", hosts.rstrip("\n") + f"\n127.0.1.1 {' '.join(dict.fromkeys((full, short)))}\n")


def etc_hosts(machine, config, metadata_name):
    """`manage_etc_hosts`, at every boot: the whole file, or (`localhost`) the machine's own line in it."""
    wanted = config["manage_etc_hosts"]
    full, short = names(config, metadata_name)
    own = f"127.0.1.1 {' '.join(dict.fromkeys((full, short)))}"
    if not wanted or str(wanted).lower() in ("false", "no", "off", "0") or not short:
        return
    if wanted == "localhost":
        lines = (machine.read("etc/hosts") or "127.0.0.1 localhost\n").splitlines()
        if own not in lines:
            kept = [line for line in lines if line.split()[:1] != ["127.0.1.1"]]
            machine.write("etc/hosts", "\n".join([*kept, own]) + "\n")
        return
    machine.write("etc/hosts", f"""\
# This file is written anew at each boot: user data says manage_etc_hosts.
{own}
127.0.0.1 localhost

::1 localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
""")


def timezone(machine, config):
    zone = str(config["timezone"])
    if ".." in zone or not os.path.exists(machine.path("usr/share/zoneinfo", zone)):
        raise ValueError(f"unknown timezone {zone!r}")
    link = machine.path("etc/localtime")
    if os.path.lexists(link):
        os.unlink(link)
    os.symlink(f"/usr/share/zoneinfo/{zone}", link)
    machine.write("etc/timezone", zone + "\n")


# What packages leave that are in use only after a reboot.
REBOOT_MARKS = ("var/run/reboot-required", "run/reboot-needed")


def package_update_upgrade_install(machine, config):
    """Whether what was installed wants a reboot, and user data allows it."""
    manager = machine.family()["packages"]
    wanted = [package_name(entry, manager) for entry in flattened_packages(config.get("packages"), manager)]
    upgrade = config.get("package_upgrade") or config.get("apt_upgrade")
    if not (wanted or upgrade or config.get("package_update") or config.get("apt_update")):
        return False
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    program, refresh, renew = MANAGERS[manager]
    machine.must_run([*program, refresh], **quiet)
    if upgrade:
        machine.must_run([*program, renew], **quiet)
    if wanted:
        machine.must_run([*program, "install", *wanted], **quiet)
    allowed = config.get("package_reboot_if_required") or config.get("apt_reboot_if_required")
    mark = next((mark for mark in REBOOT_MARKS if os.path.exists(machine.path(mark))), None)
    if not (wanted or upgrade) or not allowed or not mark:
        return False
    machine.warn(f"rebooting after upgrade or install, for /{mark}; the rest of user data runs after that")
    return True


def flattened_packages(entries, manager):
    for entry in listed(entries or []):
        if not isinstance(entry, dict):
            yield entry
        elif set(entry) == {manager}:
            yield from listed(entry[manager])
        else:
            raise ValueError(f"packages: only {manager} packages are known, not {sorted(entry)}")


def package_name(entry, manager):
    """`name`, or `[name, version]`."""
    name = {"apt": "=", "dnf": "-"}[manager].join(str(part) for part in entry) if isinstance(entry, list) else str(entry)
    if name.startswith("-"):
        raise ValueError(f"{name!r} is not a package name")
    return name


def scripts_always(config):
    """AWS's documented way to run user data at each boot: cloud_final_modules: [[scripts-user, always]]."""
    return any(
        isinstance(entry, list) and len(entry) == 2 and str(entry[0]).replace("_", "-") == "scripts-user" and entry[1] == "always"
        for entry in listed(config.get("cloud_final_modules") or [])
    )


def listed(value):
    return value if isinstance(value, list) else [value]
