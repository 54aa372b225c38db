"""Turns a plain root into an AMI: what an instance of the cloud needs, and nothing of its host.

An instance is a set of namespaces whose network, clock, devices and modules belong to the host, so
the units that would manage those are masked; masked rather than absent, because an `apt-get install`
in the instance may bring them.
"""

import json
import os
import shutil
import subprocess

from . import family
from .recipe import IMAGES, files

MASKED = [
    # Devices, kernel and clock are the host's.
    "systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket",
    "systemd-udev-trigger.service", "systemd-udev-settle.service",
    "systemd-modules-load.service", "kmod-static-nodes.service", "systemd-timesyncd.service",
    "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
    "sys-fs-fuse-connections.mount", "dev-hugepages.mount", "dev-mqueue.mount",
    "proc-sys-fs-binfmt_misc.automount", "proc-sys-fs-binfmt_misc.mount", "systemd-binfmt.service",
    "systemd-remount-fs.service", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
    # Addresses and resolver come with the network interface.
    "systemd-networkd.service", "systemd-networkd.socket", "systemd-networkd-wait-online.service",
    "systemd-resolved.service",
    # No seats and no terminals.
    "getty.target", "console-getty.service", "getty@tty1.service",
    "systemd-ask-password-console.path", "systemd-ask-password-wall.path",
    # The kernel's audit, crash dumps and entropy are the host's; telinit's pipe nobody uses.
    "systemd-journald-audit.socket", "systemd-pstore.service", "systemd-random-seed.service", "systemd-initctl.socket",
    # Hundreds of instances on one machine must not all refresh their package lists at once.
    "apt-daily.timer", "apt-daily-upgrade.timer", "apt-daily.service", "apt-daily-upgrade.service",
    "dpkg-db-backup.timer", "fstrim.timer", "e2scrub_all.timer",
]

# Started when first asked, by their sockets: most instances ask never, and an idle one is to be small.
# logind comes by D-Bus when `reboot`, `loginctl` and the like ask for it.
ON_DEMAND = [f"usr/lib/systemd/system/multi-user.target.wants/{unit}.service" for unit in ("dbus", "systemd-logind")]

# Anything here would be the same in every instance, or be a trace of the building host.
REMOVED = [
    "etc/hostname", "etc/resolv.conf", "etc/machine-id", "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed", "var/cache/ldconfig/aux-cache",
]


# Of our user-data runner: the distribution's cloud-init has files of the same names.
RUNNER = (
    "usr/bin/cloud-id", "usr/bin/cloud-init", "usr/bin/cloud-init-per", "usr/lib/nines/user-data", "usr/lib/nines/userdata/", "etc/systemd/system/nines-user-data.service",
)
CLOUD_INIT = ("cloud-init-local.service", "cloud-init.service", "cloud-config.service", "cloud-final.service", "nines-cloud-init-report.service")


def finish(recipe, rootfs):
    """`recipe` has the lists of units; of a root that others made it has none."""
    own_runner = recipe.get("runner") != "cloud-init"
    install_files(rootfs, "files", skipped=() if own_runner else RUNNER)
    if not own_runner:
        install_files(rootfs, "cloud-init")
    for name in REMOVED:
        if os.path.lexists(os.path.join(rootfs, name)):
            os.unlink(os.path.join(rootfs, name))
    keys = os.path.join(rootfs, "etc/ssh")
    for name in os.listdir(keys) if os.path.isdir(keys) else []:
        if name.startswith("ssh_host_"):
            os.unlink(os.path.join(keys, name))
    for directory in ("var/log", "var/cache/apt/archives"):
        for path in list(files(os.path.join(rootfs, directory))):
            if not path.endswith(("wtmp", "btmp", "lastlog")):
                os.unlink(path)

    for name in ("etc/hostname", "etc/resolv.conf", "etc/fstab"):
        open(os.path.join(rootfs, name), "w").close()
    # Empty, not `uninitialized`: the latter makes a first boot, which resets units to their presets
    # (Docker and sshd would start in every instance) and may ask questions on the console.
    write(rootfs, "etc/machine-id", "", 0o444)
    write(rootfs, "etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
    for name in ("var/lib/docker", "var/lib/containerd"):
        os.makedirs(os.path.join(rootfs, name), mode=0o711, exist_ok=True)

    users(rootfs, own_runner)
    if os.path.lexists(os.path.join(rootfs, "usr/bin/python3")) and own_runner:
        within(rootfs, "python3", "-m", "compileall", "-q", "/usr/lib/nines")
    if os.path.lexists(os.path.join(rootfs, "usr/bin/systemctl")) or os.path.lexists(os.path.join(rootfs, "bin/systemctl")):
        units(recipe, rootfs)
    if recipe.get("init") == "busybox":
        busybox(rootfs)
    # Says that /etc and /var are as new as /usr: otherwise the first boot rebuilds accounts and catalogs.
    for name in ("etc/.updated", "var/.updated"):
        write(rootfs, name, "")
        built = os.stat(os.path.join(rootfs, "usr")).st_mtime_ns
        os.utime(os.path.join(rootfs, name), ns=(built, built))


def users(rootfs, own_runner):
    """The family's default user; cloud-init makes its own."""
    of = family.FAMILIES[family.of(rootfs) or "debian"]
    if not own_runner:
        return
    write(rootfs, "usr/lib/nines/family.json", json.dumps({key: of[key] for key in ("user", "ssh", "packages")}) + "\n")
    name = of["user"]
    with open(os.path.join(rootfs, "etc/passwd"), "a+") as file:
        file.seek(0)
        known = any(line.startswith(f"{name}:") for line in file)
    if not known and any(os.path.lexists(os.path.join(rootfs, place)) for place in ("usr/sbin/useradd", "sbin/useradd")):
        with open(os.path.join(rootfs, "etc/group")) as file:
            there = {line.split(":")[0] for line in file}
        groups = ",".join(group for group in of["groups"] if group in there)
        within(rootfs, "useradd", "--create-home", "--shell", "/bin/bash", "--comment", of["gecos"], "--groups", groups, name)
    write(rootfs, "etc/sudoers.d/90-cloud-init-users", f"# The image's default user, as on AWS.\n{name} ALL=(ALL) NOPASSWD:ALL\n", 0o440)


def units(recipe, rootfs):
    within(rootfs, "systemctl", "set-default", "multi-user.target")
    disabled = recipe.get("disable", [])
    if disabled:
        within(rootfs, "systemctl", "disable", *disabled)
    within(rootfs, "systemctl", "mask", *MASKED)
    for name in ON_DEMAND:
        if os.path.lexists(os.path.join(rootfs, name)):
            os.unlink(os.path.join(rootfs, name))
    enabled = recipe.get("enable", ["nines-user-data.service"])
    if recipe.get("runner") == "cloud-init":
        enabled = [*CLOUD_INIT, *(unit for unit in enabled if unit != "nines-user-data.service")]
    within(rootfs, "systemctl", "enable", *enabled)


def busybox(rootfs):
    """As init, and for whoever wants to end or restart the machine."""
    install_files(rootfs, "plain")
    for name in ("init", "poweroff", "reboot", "halt"):
        place = os.path.join(rootfs, "usr/sbin", name)
        if not os.path.lexists(place):
            os.symlink("/bin/busybox", place)


def install_files(rootfs, name, skipped=()):
    tree = os.path.join(IMAGES, name)
    for source in files(tree):
        relative = os.path.relpath(source, tree)
        if relative.startswith(tuple(skipped)):
            continue
        target = os.path.join(rootfs, relative)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(source, target)
        os.chmod(target, 0o755 if os.stat(source).st_mode & 0o100 else 0o440 if "sudoers.d" in target else 0o644)


def write(rootfs, name, text, mode=0o644):
    path = os.path.join(rootfs, name)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def within(rootfs, *command):
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_OFFLINE": "1"}
    done = subprocess.run(["chroot", rootfs, *command], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed in the image: {done.stderr.strip()}")
