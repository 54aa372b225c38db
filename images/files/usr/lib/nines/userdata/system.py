"""Further modules of `#cloud-config`: package sources, authorities, passwords, and the machine's power."""

import os
import re

from .cloudconfig import listed

# What belongs to the host, and whose absence here is worth a word.
NOT_HERE = {
    "swap": "an instance shares the host's memory and cannot have swap",
    "ntp": "the clock is the host's",
    "disk_setup": "an instance has its root volume only",
    "fs_setup": "an instance has its root volume only",
    "mounts": "an instance has its root volume only",
}


def not_here(machine, config):
    """Told in the log and not taken for an error, as user data for EC2 has them by habit."""
    for key, why in NOT_HERE.items():
        if config.get(key):
            machine.warn(f"cloud-config key {key!r} has no effect: {why}")


def apt(machine, config):
    wanted = config["apt"]
    if not isinstance(wanted, dict):
        raise ValueError("apt must be a mapping")
    for key in wanted.keys() - {"sources", "conf", "preserve_sources_list", "proxy", "http_proxy", "https_proxy"}:
        machine.warn(f"apt: {key!r} is not emulated; ignored")
    lines = [f'Acquire::{kind}::Proxy "{wanted[key]}";' for key, kind in
             (("proxy", "http"), ("http_proxy", "http"), ("https_proxy", "https")) if wanted.get(key)]
    if lines:
        machine.write("etc/apt/apt.conf.d/90cloud-init-aptproxy", "\n".join(lines) + "\n")
    if wanted.get("conf"):
        machine.write("etc/apt/apt.conf.d/94cloud-init-config", str(wanted["conf"]))
    for name, entry in (wanted.get("sources") or {}).items():
        source(machine, str(name), entry)


def source(machine, name, entry):
    file = str(entry.get("filename") or name)
    if not re.fullmatch(r"[\w.+-]+", file):
        raise ValueError(f"apt: {file!r} is no file name")
    file = file.removesuffix(".list")
    key_file = ""
    if entry.get("key"):
        key_file = f"etc/apt/cloud-init.gpg.d/{file}.asc"
        machine.write(key_file, str(entry["key"]))
    elif entry.get("keyid"):
        machine.warn(f"apt: the key {entry['keyid']} of {name} must be given as `key`; key servers are not asked")
    line = str(entry.get("source") or "")
    if line.startswith("ppa:"):
        raise ValueError(f"apt: {line} is for Ubuntu")
    if line:
        values = {"RELEASE": release(machine), "KEY_FILE": f"/{key_file}", "MIRROR": "http://deb.debian.org/debian"}
        for key, value in values.items():
            line = line.replace(f"${key}", value)
        if key_file and "signed-by" not in line:
            line = re.sub(r"^(deb(?:-src)?) (?!\[)", rf"\1 [signed-by=/{key_file}] ", line)
        machine.write(f"etc/apt/sources.list.d/{file}.list", line.rstrip() + "\n")


def release(machine):
    match = re.search(r"^VERSION_CODENAME=(\S+)", machine.read("etc/os-release") or "", re.MULTILINE)
    return match.group(1) if match else ""


def ca_certs(machine, config):
    wanted = config.get("ca_certs") or config.get("ca-certs") or {}
    for number, certificate in enumerate(listed(wanted.get("trusted") or []), 1):
        machine.write(f"usr/local/share/ca-certificates/cloud-init-ca-cert-{number}.crt", str(certificate).rstrip() + "\n")
    if wanted.get("trusted"):
        machine.must_run(["update-ca-certificates"])


def chpasswd(machine, config):
    """Passwords as `users: [{name, password, type}]` or as lines `name:password`."""
    wanted = config.get("chpasswd") or {}
    plain, hashed = [], []
    for entry in listed(wanted.get("users") or []):
        (hashed if entry.get("type") == "hash" else plain).append(f"{entry['name']}:{entry['password']}")
    old = wanted.get("list") or []
    for line in old.splitlines() if isinstance(old, str) else listed(old):
        _, _, password = str(line).partition(":")
        (hashed if password.startswith("$") else plain).append(str(line))
    for lines, options in ((plain, []), (hashed, ["--encrypted"])):
        if lines:
            machine.must_run(["chpasswd", *options], input="\n".join(lines) + "\n")


def power_state(machine, config):
    """Returns the command that ends this boot once everything else is done, or None."""
    wanted = config["power_state"]
    mode = str(wanted.get("mode", ""))
    command = {"poweroff": "--poweroff", "halt": "--halt", "reboot": "--reboot"}.get(mode)
    if command is None:
        raise ValueError(f"power_state: mode must be poweroff, halt or reboot, not {mode!r}")
    condition = wanted.get("condition", True)
    if isinstance(condition, (str, list)):
        words = ["sh", "-c", condition] if isinstance(condition, str) else [str(word) for word in condition]
        condition = machine.run(words) == 0
    if not condition:
        return None
    delay = str(wanted.get("delay", "now"))
    if delay.isdigit():
        delay = f"+{delay}"
    if not re.fullmatch(r"now|\+\d+|\d\d?:\d\d", delay):
        raise ValueError(f"power_state: delay must be now, minutes or a time, not {delay!r}")
    if not machine.systemd():
        if delay != "now":
            raise ValueError("power_state: delay needs systemd")
        return [mode]
    if delay == "now":
        # Without logind there is nobody to schedule with; systemd itself needs none.
        return ["systemctl", "--no-block", command[2:]]
    return ["shutdown", command, delay, str(wanted.get("message", ""))]


def query(metadata, instance, machine):
    """`/run/cloud-init/instance-data.json`, what `cloud-init query` and templates read."""
    def text(name):
        content = metadata.get(f"meta-data/{name}")
        return content.decode("utf-8", "replace") if content is not None else None

    names = ("ami-id", "hostname", "instance-id", "instance-life-cycle", "instance-type", "local-hostname", "local-ipv4",
             "mac", "public-hostname", "public-ipv4", "reservation-id", "security-groups")
    meta = {name: value for name in names if (value := text(name)) is not None}
    zone, region = text("placement/availability-zone"), text("placement/region")
    meta["placement"] = {"availability-zone": zone, "region": region}
    hostname = meta.get("local-hostname") or ""
    v1 = {
        "availability_zone": zone,
        "cloud_id": "aws",
        "cloud_name": "aws",
        "distro": "debian",
        "instance_id": instance,
        "local_hostname": hostname.split(".")[0],
        "machine": os.uname().machine,
        "platform": "ec2",
        "region": region,
        "subplatform": "metadata (http://169.254.169.254)",
        "distro_release": release(machine),
    }
    return {"ds": {"meta_data": meta}, "v1": v1, **v1}


def lookup(data, path):
    """The value at `a.b-c` in nested mappings; names may be given with `_` for `-`, as in templates."""
    for name in path.split("."):
        if not isinstance(data, dict):
            raise KeyError(path)
        key = next((key for key in data if key == name or key.replace("-", "_") == name), None)
        if key is None:
            raise KeyError(path)
        data = data[key]
    return data


def template(text, data, warn):
    """The part of Jinja that published user data uses: `{{ a.b }}`. Blocks are refused."""
    if "{%" in text:
        raise ValueError("blocks of jinja templates are not emulated")

    def value(match):
        try:
            return str(lookup(data, match.group(1)))
        except KeyError:
            warn(f"the template's {match.group(1)} is not known")
            return f"CI_MISSING_JINJA_VAR/{match.group(1).split('.')[-1]}"

    return re.sub(r"\{\{\s*([\w.-]+)\s*\}\}", value, text)
