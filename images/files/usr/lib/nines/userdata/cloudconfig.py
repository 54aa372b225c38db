"""The modules of `#cloud-config`: one function per module, named as cloud-init names it.

Each takes the machine and the merged configuration. A key that no module reads is named on the
console: a silently ignored line costs more time than a missing feature.
"""

import grp
import os
import pwd
import shlex
import socket

from . import yaml

APT = ["apt-get", "--option=Dpkg::Options::=--force-confold", "--option=Dpkg::Options::=--force-unsafe-io",
       "--assume-yes", "--quiet"]
# The program, and its words for reading the lists and for bringing everything up to date.
MANAGERS = {"apt": (APT, "update", "dist-upgrade"), "dnf": (["dnf", "--assumeyes", "--quiet"], "makecache", "upgrade")}

KNOWN = {
    "bootcmd", "write_files", "package_update", "package_upgrade", "packages", "runcmd", "hostname", "fqdn",
    "preserve_hostname", "users", "groups", "ssh_authorized_keys", "final_message", "timezone",
    "cloud_final_modules", "apt", "ca_certs", "ca-certs", "chpasswd", "power_state",
    # Of no effect, which `system.not_here` tells.
    "swap", "ntp", "disk_setup", "fs_setup", "mounts",
    # Said of things that are so already: output goes to the log, hosts and root's log-in are as asked.
    "output", "manage_etc_hosts", "disable_root", "ssh_pwauth", "locale",
    "growpart", "resize_rootfs", "package_reboot_if_required", "apt_preserve_sources_list", "cloud_config_modules",
    "cloud_init_modules", "ssh_deletekeys", "ssh_genkeytypes", "repo_update", "repo_upgrade", "mount_default_fields",
    # Short forms of package_update and package_upgrade.
    "apt_update", "apt_upgrade",
}


def load(parts, machine):
    """One configuration of all parts; a later part's key takes the place of an earlier one's."""
    reader = yaml()
    merged = {}
    for part in parts:
        try:
            config = reader.safe_load(part.content)
        except (reader.YAMLError, UnicodeDecodeError) as error:
            machine.fail(f"{part.name} is not valid YAML: {error}")
            continue
        if config is None:
            continue
        if not isinstance(config, dict):
            machine.fail(f"{part.name} is not a mapping of keys; ignored")
            continue
        merged.update(config)
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
    for entry in listed(config["write_files"]):
        if bool(entry.get("defer")) != deferred:
            continue
        try:
            write_file(machine, entry)
        except (OSError, ValueError, KeyError, LookupError) as error:
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


def hostname(machine, config, metadata_name):
    if config.get("preserve_hostname"):
        return
    full = str(config.get("fqdn") or config.get("hostname") or metadata_name or "")
    short = str(config.get("hostname") or full).split(".")[0]
    if not short:
        return
    if machine.root == "/" and socket.gethostname() != short:
        socket.sethostname(short)
    machine.write("etc/hostname", short + "\n")
    hosts = machine.read("etc/hosts") or "127.0.0.1 localhost\n"
    if not any(short in line.split("#")[0].split()[1:] for line in hosts.splitlines()):
        names = full if full == short else f"{full} {short}"
        machine.write("etc/hosts", hosts.rstrip("\n") + f"\n127.0.1.1 {names}\n")


def timezone(machine, config):
    zone = str(config["timezone"])
    if ".." in zone or not os.path.exists(machine.path("usr/share/zoneinfo", zone)):
        raise ValueError(f"unknown timezone {zone!r}")
    link = machine.path("etc/localtime")
    if os.path.lexists(link):
        os.unlink(link)
    os.symlink(f"/usr/share/zoneinfo/{zone}", link)
    machine.write("etc/timezone", zone + "\n")


def package_update_upgrade_install(machine, config):
    manager = machine.family()["packages"]
    wanted = [package_name(entry, manager) for entry in flattened_packages(config.get("packages"), manager)]
    upgrade = config.get("package_upgrade") or config.get("apt_upgrade")
    if not (wanted or upgrade or config.get("package_update") or config.get("apt_update")):
        return
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    program, refresh, renew = MANAGERS[manager]
    machine.must_run([*program, refresh], **quiet)
    if upgrade:
        machine.must_run([*program, renew], **quiet)
    if wanted:
        machine.must_run([*program, "install", *wanted], **quiet)


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


def users_groups(machine, config):
    for entry in listed(config.get("groups") or []):
        members = entry if isinstance(entry, dict) else {name.strip(): [] for name in str(entry).split(",")}
        for group, names in members.items():
            machine.must_run(["groupadd", "--force", group])
            for name in listed(names or []):
                machine.must_run(["usermod", "--append", "--groups", group, name])
    for entry in listed(config.get("users", ["default"])):
        if isinstance(entry, str):
            entry = {"name": entry}
        if entry.get("name") == "default":
            entry = {"name": machine.family()["user"], "sudo": "ALL=(ALL) NOPASSWD:ALL", "shell": "/bin/bash"} | {
                key: value for key, value in entry.items() if key != "name"
            }
        if entry.get("name"):
            user(machine, entry)


def user(machine, entry):
    name = str(entry["name"])
    known = {"name", "gecos", "groups", "sudo", "shell", "ssh_authorized_keys", "ssh-authorized-keys", "lock_passwd",
             "homedir", "uid", "system", "no_create_home", "primary_group", "passwd", "hashed_passwd"}
    for key in entry.keys() - known:
        machine.warn(f"user {name}: {key!r} is not emulated; ignored")
    command = ["useradd", name]
    for key, option in (("gecos", "--comment"), ("shell", "--shell"), ("homedir", "--home-dir"), ("uid", "--uid"),
                        ("primary_group", "--gid")):
        if key in entry:
            command += [option, str(entry[key])]
    command += ["--system"] if entry.get("system") else []
    command += ["--no-create-home"] if entry.get("no_create_home") or entry.get("system") else ["--create-home"]
    if not exists(machine, name):
        machine.must_run(command)
    groups = entry.get("groups")
    if groups:
        names = groups.split(",") if isinstance(groups, str) else groups
        machine.must_run(["usermod", "--append", "--groups", ",".join(str(group).strip() for group in names), name])
    hashed = entry.get("hashed_passwd") or entry.get("passwd")
    if hashed:
        machine.must_run(["usermod", "--password", str(hashed), name])
    if hashed and entry.get("lock_passwd", True):  # one without a password is locked from the start
        machine.must_run(["passwd", "--quiet", "--lock", name])
    rules = entry.get("sudo")
    if rules and rules is not True:
        lines = "".join(f"{name} {rule}\n" for rule in listed(rules))
        machine.write(f"etc/sudoers.d/90-cloud-init-{name.replace('.', '-')}", lines, 0o440)
    authorize(machine, name, listed(entry.get("ssh_authorized_keys") or entry.get("ssh-authorized-keys") or []))


def exists(machine, name):
    return any(line.split(":")[0] == name for line in (machine.read("etc/passwd") or "").splitlines())


def ssh(machine, config, metadata_keys):
    """Keys of the default user. The server runs where somebody may log in with one; elsewhere a connection starts it."""
    keys = [*metadata_keys, *map(str, listed(config.get("ssh_authorized_keys") or []))]
    users = listed(config.get("users", ["default"]))
    if keys and ("default" in users or any(isinstance(entry, dict) and entry.get("name") == "default" for entry in users)):
        authorize(machine, machine.family()["user"], keys)
    if not machine.authorized:
        return
    for kind in ("ed25519", "ecdsa"):
        path = machine.path(f"etc/ssh/ssh_host_{kind}_key")
        if not os.path.exists(path):
            machine.must_run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path])
    if machine.systemd():
        if os.path.lexists(machine.path("etc/systemd/system/sockets.target.wants/ssh.socket")):
            # Else the server would get that socket, and listen nowhere else, whatever its configuration says.
            machine.must_run(["systemctl", "disable", "--quiet", "--now", "ssh.socket"])
        machine.must_run(["systemctl", "enable", "--quiet", "--now", "--no-block", machine.family()["ssh"]])
    else:
        machine.must_run(["/usr/sbin/sshd"])


def authorize(machine, name, keys):
    if not keys:
        return
    home, uid, gid = next(
        (fields[5], int(fields[2]), int(fields[3]))
        for fields in (line.split(":") for line in (machine.read("etc/passwd") or "").splitlines())
        if fields[0] == name
    )
    path = os.path.join(home, ".ssh/authorized_keys")
    present = (machine.read(path) or "").splitlines()
    present += [key for key in keys if key not in present]
    machine.write(path, "\n".join(present) + "\n", 0o600)
    os.chmod(os.path.dirname(machine.path(path)), 0o700)
    for owned in (machine.path(path), os.path.dirname(machine.path(path))):
        os.chown(owned, uid, gid)
    machine.authorized = True


def scripts_always(config):
    """AWS's documented way to run user data at each boot: cloud_final_modules: [[scripts-user, always]]."""
    return any(
        isinstance(entry, list) and len(entry) == 2 and str(entry[0]).replace("_", "-") == "scripts-user" and entry[1] == "always"
        for entry in listed(config.get("cloud_final_modules") or [])
    )


def listed(value):
    return value if isinstance(value, list) else [value]
