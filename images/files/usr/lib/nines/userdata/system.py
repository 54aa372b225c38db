"""Further modules of `#cloud-config`: mounts, language, package sources, authorities, the machine's power, a call home."""

import os
import re

from .cloudconfig import listed

# What belongs to the host, and whose absence here is worth a word.
NOT_HERE = {
    "swap": "an instance shares the host's memory and cannot have swap",
    "ntp": "the clock is the host's",
    "disk_setup": "an instance has its root volume only",
    "fs_setup": "an instance has its root volume only",
}
# Of an entry of `mounts`, where it says nothing.
FIELDS = [None, None, "auto", "defaults,nofail", "0", "2"]
MARK = "comment=cloudconfig"


def not_here(machine, config):
    """Told in the log and not taken for an error, as user data for EC2 has them by habit."""
    for key, why in NOT_HERE.items():
        if config.get(key):
            machine.warn(f"cloud-config key {key!r} has no effect: {why}")


def mounts(machine, config):
    """Lines of /etc/fstab, and their mounts; devices there are none here, as for cloud-init where one is missing."""
    defaults = filled(listed(config.get("mount_default_fields") or []), FIELDS)
    entries, problems = [], []
    for entry in listed(config["mounts"] or []):
        entry = filled(listed(entry), defaults)
        what = entry[0]
        if what is None or re.fullmatch(r"(/dev/)?((xv|s|v)d[a-z]+\d*|nvme\S*|ephemeral\d*|root|swap)|(LABEL|UUID)=.*", what):
            machine.warn(f"mounts: there is no device {what}; ignored")
            continue
        if entry[1] is not None:
            entries.append(entry)
    kept = [line for line in (machine.read("etc/fstab") or "").splitlines() if MARK not in line]
    if not entries:
        return
    lines = ["\t".join([*entry[:3], f"{entry[3]},{MARK}", *entry[4:]]) for entry in entries]
    machine.write("etc/fstab", "\n".join([*kept, *lines]) + "\n")
    for _, place, _, options, *_ in entries:
        if place == "none":
            continue
        try:
            os.makedirs(machine.path(place), exist_ok=True)
            machine.must_run(["mount", place])
        except OSError as error:
            if "nofail" in options.split(","):
                machine.warn(f"mounts: {place}: {error}; it may fail")
            else:
                problems.append(f"{place}: {error}")
    if problems:
        raise OSError("; ".join(problems))


def filled(fields, defaults):
    """As many fields as there are defaults, which stand where a field is missing or null."""
    fields = [*fields, *[None] * len(defaults)]
    return [default if own is None else str(own) for own, default in zip(fields, defaults)]


def locale(machine, config):
    """The language of log-ins; one that is not there yet is made, from a package that Debian's own AMIs have."""
    wanted = str(config["locale"])
    if not re.fullmatch(r"[\w.@-]+", wanted):
        raise ValueError(f"locale: {wanted!r} is none")
    if wanted not in ("C", "POSIX", "C.UTF-8", "C.utf8"):
        if machine.family()["packages"] != "apt":
            machine.warn(f"locale: {wanted} is taken for there already")
        else:
            if not os.path.exists(machine.path("usr/sbin/locale-gen")):
                install(machine, "locales")
            charset = wanted.partition(".")[2].partition("@")[0] or "ISO-8859-1"
            line = f"{wanted} {charset.replace('utf8', 'UTF-8')}"
            lines = (machine.read("etc/locale.gen") or "").splitlines()
            machine.write("etc/locale.gen", "\n".join([*lines, *([] if line in lines else [line])]) + "\n")
            machine.must_run(["locale-gen"])
    machine.write("etc/default/locale", f"LANG={wanted}\n")


def install(machine, package):
    from .cloudconfig import MANAGERS

    program, refresh, _ = MANAGERS["apt"]
    for words in ([refresh], ["install", package]):
        machine.must_run([*program, *words], DEBIAN_FRONTEND="noninteractive")


# What `phone_home` sends of the machine: host keys beside its names.
TOLD = ("pub_key_rsa", "pub_key_ecdsa", "pub_key_ed25519", "instance_id", "hostname", "fqdn")


def phone_home(machine, config, instance, full, short):
    """Tells a server that the machine is up, as a form."""
    import time
    from urllib.parse import urlencode
    from urllib.request import Request, urlopen

    wanted = config["phone_home"] or {}
    url = str(wanted.get("url") or "")
    if not url:
        machine.warn("phone_home: there is no url; ignored")
        return
    for name in ("$INSTANCE_ID", "${INSTANCE_ID}"):
        url = url.replace(name, instance)
    if not url.startswith(("http://", "https://")):
        raise ValueError("phone_home: only http and https are known")
    known = {"instance_id": instance, "hostname": short, "fqdn": full}
    known |= {name: machine.read(f"etc/ssh/ssh_host_{name.removeprefix('pub_key_')}_key.pub") for name in TOLD if name.startswith("pub_key_")}
    post = wanted.get("post", "all")
    form = {str(name): known.get(name) or "N/A" for name in (TOLD if post == "all" else listed(post))}
    tries = wanted.get("tries", 10)
    tries = int(tries) if str(tries).isdigit() else 10
    for left in reversed(range(max(tries, 1))):
        try:
            with urlopen(Request(url, urlencode(form).encode()), timeout=10):
                return
        except OSError as error:
            if not left:
                raise OSError(f"phone_home: {url}: {error}") from error
            time.sleep(3)


def apt(machine, config):
    wanted = config["apt"]
    if not isinstance(wanted, dict):
        raise ValueError("apt must be a mapping")
    known = {"sources", "conf", "debconf_selections", "preserve_sources_list", "proxy", "http_proxy", "https_proxy"}
    for key in wanted.keys() - known:
        machine.warn(f"apt: {key!r} is not emulated; ignored")
    lines = [f'Acquire::{kind}::Proxy "{wanted[key]}";' for key, kind in
             (("proxy", "http"), ("http_proxy", "http"), ("https_proxy", "https")) if wanted.get(key)]
    if lines:
        machine.write("etc/apt/apt.conf.d/90cloud-init-aptproxy", "\n".join(lines) + "\n")
    if wanted.get("conf"):
        machine.write("etc/apt/apt.conf.d/94cloud-init-config", str(wanted["conf"]))
    for answers in (wanted.get("debconf_selections") or {}).values():
        machine.must_run(["debconf-set-selections"], input=str(answers).rstrip() + "\n")
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
    for key in wanted.keys() - {"trusted"}:
        machine.warn(f"ca_certs: {key!r} is not emulated; ignored")
    for number, certificate in enumerate(listed(wanted.get("trusted") or []), 1):
        machine.write(f"usr/local/share/ca-certificates/cloud-init-ca-cert-{number}.crt", str(certificate).rstrip() + "\n")
    if wanted.get("trusted"):
        machine.must_run(["update-ca-certificates"])


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
