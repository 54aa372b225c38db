"""Turns a plain Debian root into an AMI: what an instance of the cloud needs, and nothing of its host.

An instance is a set of namespaces whose network, clock, devices and modules belong to the host, so
the units that would manage those are masked; masked rather than absent, because an `apt-get install`
in the instance may bring them.
"""

import os
import shutil
import subprocess

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
    "systemd-logind.service", "getty.target", "console-getty.service", "getty@tty1.service",
    # Hundreds of instances on one machine must not all refresh their package lists at once.
    "apt-daily.timer", "apt-daily-upgrade.timer", "apt-daily.service", "apt-daily-upgrade.service",
    "dpkg-db-backup.timer", "fstrim.timer", "e2scrub_all.timer",
]

# Anything here would be the same in every instance, or be a trace of the building host.
REMOVED = [
    "etc/hostname", "etc/resolv.conf", "etc/machine-id", "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed", "var/cache/ldconfig/aux-cache",
]


def finish(recipe, rootfs):
    install_files(rootfs)
    for name in REMOVED:
        if os.path.lexists(os.path.join(rootfs, name)):
            os.unlink(os.path.join(rootfs, name))
    keys = os.path.join(rootfs, "etc/ssh")
    for name in os.listdir(keys):
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

    within(rootfs, "useradd", "--create-home", "--shell", "/bin/bash", "--comment", "Debian", "admin")
    within(rootfs, "python3", "-m", "compileall", "-q", "/usr/lib/nines")
    within(rootfs, "systemctl", "set-default", "multi-user.target")
    if recipe.get("disable"):
        within(rootfs, "systemctl", "disable", *recipe["disable"])
    within(rootfs, "systemctl", "mask", *MASKED)
    within(rootfs, "systemctl", "enable", *recipe["enable"])
    # Says that /etc and /var are as new as /usr: otherwise the first boot rebuilds accounts and catalogs.
    for name in ("etc/.updated", "var/.updated"):
        write(rootfs, name, "")
        built = os.stat(os.path.join(rootfs, "usr")).st_mtime_ns
        os.utime(os.path.join(rootfs, name), ns=(built, built))


def install_files(rootfs):
    tree = os.path.join(IMAGES, "files")
    for source in files(tree):
        target = os.path.join(rootfs, os.path.relpath(source, tree))
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
