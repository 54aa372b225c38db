"""One boot: metadata, user data, modules and scripts in cloud-init's order.

What is done once per instance leaves a semaphore under /var/lib/cloud/instances/ID/sem, set before
the work starts: a reboot in the middle of a script does not run it again, as with cloud-init. The id
is the key, so an image made of a configured instance runs its user data anew.
"""

import os
import re
import time

from . import VERSION, account, cloudconfig, formats, instance_data, system
from .imds import Metadata, Refused, Unreachable
from .machine import uptime

FINAL_MESSAGE = "Cloud-init v. {version} finished at {timestamp}. Datasource {datasource}.  Up {uptime} seconds"


class Boot:
    def __init__(self, machine, metadata):
        self.machine = machine
        self.metadata = metadata
        self.instance = ""
        self.config = {}
        self.data = {"v1": {}}  # what is known of the instance
        self.ending = None  # the command of power_state, for after the last word
        self.interrupted = False  # by a reboot that packages want, after which the next boot goes on
        self.failed = None  # exit code of the last user script that failed

    def once(self, module, work, *arguments):
        """Runs a module if this instance has not; an error is told and the boot goes on."""
        self.behind(f"var/lib/cloud/instances/{self.instance}/sem/config_{module}", module, work, *arguments)

    def once_ever(self, module, work, *arguments):
        """The same, if no instance has that this one's volume came from."""
        self.behind(f"var/lib/cloud/sem/config_{module}.once", module, work, *arguments)

    def behind(self, name, module, work, *arguments):
        if os.path.exists(self.machine.path(name)):
            return
        self.machine.write(name, f"{os.getpid()}: {time.time()}\n")
        self.always(module, work, *arguments)

    def always(self, module, work, *arguments):
        self.machine.log(f"module {module}")
        try:
            work(*arguments)
        except Exception as error:  # one bad line of user data must not keep the rest from running
            self.machine.fail(f"{module}: {error or type(error).__name__}")

    def enter_instance(self):
        """/var/lib/cloud/instance names the instance that is running."""
        machine, home = self.machine, f"var/lib/cloud/instances/{self.instance}"
        os.makedirs(machine.path(home, "scripts"), exist_ok=True)
        os.makedirs(machine.path("var/lib/cloud/data"), exist_ok=True)
        for period in ("boot", "instance", "once"):
            os.makedirs(machine.path(f"var/lib/cloud/scripts/per-{period}"), exist_ok=True)
        link = machine.path("var/lib/cloud/instance")
        target = f"/{home}" if machine.root == "/" else machine.path(home)
        if not os.path.islink(link) or os.readlink(link) != target:
            if os.path.islink(link):
                os.unlink(link)
            os.symlink(target, link)
        previous = (machine.read("var/lib/cloud/data/instance-id") or "").strip()
        machine.write("var/lib/cloud/data/previous-instance-id", (previous or "NO_PREVIOUS_INSTANCE_ID") + "\n")
        machine.write("var/lib/cloud/data/instance-id", self.instance + "\n")

    def parts(self):
        data = self.metadata.get("user-data") or b""
        self.machine.write(f"var/lib/cloud/instances/{self.instance}/user-data.txt", data, 0o600)
        parts = formats.split(data, self.fetch, self.machine.warn, self.fill)
        for part in parts:
            if part.kind not in (formats.SCRIPT, formats.CONFIG, formats.BOOTHOOK, *formats.PERIODS):
                what = "not of a known kind" if part.kind == formats.UNKNOWN else f"a {part.kind}, which is not emulated"
                self.machine.warn(f"user data {part.name} is {what}; ignored")
        return parts

    def fill(self, text):
        return instance_data.template(text, self.data, self.machine.warn)

    def fetch(self, url, once):
        """The body behind an `#include`; of an `#include-once` what it was at first."""
        if not once:
            return fetch(url)
        import hashlib  # rarely needed

        name = f"var/lib/cloud/instances/{self.instance}/data/urlcache/{hashlib.sha256(url.encode()).hexdigest()}"
        if not os.path.exists(self.machine.path(name)):
            self.machine.write(name, fetch(url), 0o600)
        with open(self.machine.path(name), "rb") as file:
            return file.read()

    def tell_data(self):
        """Files about the instance. That they cannot be written is no reason not to run its user data."""
        try:
            self.data = instance_data.gather(self.metadata, self.instance, self.machine)
            instance_data.write(self.machine, self.data)
        except (OSError, Unreachable) as error:
            self.machine.warn(f"there is no instance-data.json: {error}")

    def packages(self):
        if cloudconfig.package_update_upgrade_install(self.machine, self.config):
            self.ending = system.power_state(self.machine, {"power_state": {"mode": "reboot"}})
            self.interrupted = True

    def end(self):
        if self.config.get("power_state"):
            self.ending = system.power_state(self.machine, self.config)

    def keys(self):
        listing = self.metadata.get("meta-data/public-keys/") or b""
        for line in listing.decode("utf-8", "replace").splitlines():
            key = self.metadata.get(f"meta-data/public-keys/{line.split('=')[0]}/openssh-key")
            if key and key.strip():
                yield key.decode("utf-8", "replace").strip()

    def run(self):
        machine = self.machine
        self.enter_instance()
        self.tell_data()
        parts = self.parts()
        of_kind = {kind: [part for part in parts if part.kind == kind] for kind in (formats.SCRIPT, formats.CONFIG, formats.BOOTHOOK)}
        if of_kind[formats.CONFIG]:
            self.config = cloudconfig.load(of_kind[formats.CONFIG], machine)
        config = self.config
        # Several domains in the DHCP options give a name with blanks in it, as on AWS: the first is the machine's.
        name = (self.metadata.get("meta-data/local-hostname") or b"").decode("utf-8", "replace").strip().split(" ")[0]

        for part in of_kind[formats.BOOTHOOK]:
            self.always("boothook", self.boothook, part)
        if "bootcmd" in config:
            self.always("bootcmd", cloudconfig.bootcmd, machine, config, self.instance)
        if "write_files" in config:
            self.once("write_files", cloudconfig.write_files, machine, config)
        if config.get("mounts"):
            self.once("mounts", system.mounts, machine, config)
        self.once("set_hostname", cloudconfig.hostname, machine, config, name)
        if "manage_etc_hosts" in config:
            self.always("update_etc_hosts", cloudconfig.etc_hosts, machine, config, name)
        if "ca_certs" in config or "ca-certs" in config:
            self.once("ca_certs", system.ca_certs, machine, config)
        # The default user is in the image, but for one of the family that it stands in for.
        if config.keys() & {"users", "groups", "user"} or machine.family().get("stands_in_for"):
            self.once("users_groups", account.users_groups, machine, config)
        self.once("ssh", account.ssh, machine, config, list(self.keys()))
        if config.get("locale"):
            self.once("locale", system.locale, machine, config)
        if config.keys() & {"chpasswd", "password"}:
            self.once("set_passwords", account.set_passwords, machine, config)
        if "timezone" in config:
            self.once("timezone", cloudconfig.timezone, machine, config)
        system.not_here(machine, config)
        if "apt" in config:
            self.once("apt_configure", system.apt, machine, config)
        self.once("package_update_upgrade_install", self.packages)
        if self.interrupted:
            return
        if "write_files" in config:
            self.once("write_files_deferred", cloudconfig.write_files, machine, config, True)
        if "runcmd" in config:
            self.once("runcmd", self.write_script, "runcmd", config["runcmd"])
        for part in of_kind[formats.SCRIPT]:
            self.script_file("scripts", part.name, formats.script_text(part.content))
        for part in parts:
            if part.kind in formats.PERIODS:
                machine.write(f"var/lib/cloud/scripts/{part.kind}/{part.name}", formats.script_text(part.content), 0o700)

        self.once_ever("scripts_per_once", self.run_parts, "var/lib/cloud/scripts/per-once")
        self.always("scripts_per_boot", self.run_parts, "var/lib/cloud/scripts/per-boot")
        self.once("scripts_per_instance", self.run_parts, "var/lib/cloud/scripts/per-instance")
        scripts = "var/lib/cloud/instance/scripts"  # by the link, as scripts see it in `$0`
        run = self.always if cloudconfig.scripts_always(config) else self.once
        run("scripts_user", self.run_parts, scripts)
        self.once("keys_to_console", account.told_host_keys, machine)
        if "phone_home" in config:
            self.once("phone_home", system.phone_home, machine, config, self.instance, *cloudconfig.names(config, name))
        self.once("power_state_change", self.end)
        self.machine.write(f"var/lib/cloud/instances/{self.instance}/boot-finished", f"{uptime():.2f} - {time.ctime()}\n")

    def write_script(self, name, commands):
        self.script_file("scripts", name, cloudconfig.shellify(cloudconfig.listed(commands)).encode())

    def script_file(self, directory, name, content):
        return self.machine.write(f"var/lib/cloud/instances/{self.instance}/{directory}/{name}", content, 0o700)

    def boothook(self, part):
        body = part.content.replace(b"\r\n", b"\n").lstrip().removeprefix(b"#cloud-boothook").lstrip()
        # Without `#!` it is shell, as many published boothooks expect.
        body = body if body.startswith(b"#!") else b"#!/bin/sh\n" + body
        code = self.machine.run([self.script_file("boothooks", part.name, body)], INSTANCE_ID=self.instance)
        if code:
            raise OSError(f"{part.name} failed with exit code {code}")

    def run_parts(self, directory):
        """Runs every script of a directory by name; one that fails does not keep the next from running."""
        directory = self.machine.path(directory)
        for name in sorted(os.listdir(directory)):
            path = os.path.join(directory, name)
            if not os.access(path, os.X_OK):
                continue
            try:
                code = self.machine.run([path])
            except OSError as error:
                # 126 and 127 as a shell would: found but not runnable, interpreter missing.
                code = 127 if isinstance(error, FileNotFoundError) else 126
                self.machine.say(f"cloud-init: {name}: {error.strerror} (is its first line a valid #! line?)")
            if code:
                self.failed = code
                self.machine.errors.append(f"{name} failed with exit code {code}")

    def final_message(self):
        values = {
            "version": VERSION,
            "timestamp": time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime()),
            "datasource": "DataSourceEc2Local" if self.instance else "None",
            "uptime": f"{uptime():.2f}",
        }
        text = str(self.config.get("final_message") or "").strip()
        if text.lower().startswith("## template: jinja"):
            try:
                return instance_data.template(text.partition("\n")[2], {"v1": values}, self.machine.warn)
            except ValueError as error:
                self.machine.warn(f"final_message: {error}")
                text = ""
        # In small letters or capitals, as cloud-init knows them.
        named = lambda match: values.get((match[1] or match[2]).lower(), match[0])
        return re.sub(r"\$\{(\w+)\}|\$(\w+)", named, text) or FINAL_MESSAGE.format(**values)


def fetch(url):
    """The body behind an `#include`."""
    from http.client import HTTPException  # rarely needed, slow to import
    from urllib.request import urlopen

    if not url.startswith(("http://", "https://")):
        raise ValueError("only http and https are known")
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.read(16 << 20)
    except HTTPException as error:  # neither an address nor an answer of HTTP need be well formed
        raise OSError(f"{type(error).__name__}: {error}") from error


def main(machine, metadata=None):
    metadata = metadata or Metadata()
    machine.open_output()
    machine.set_status("running")
    boot = Boot(machine, metadata)
    try:
        boot.instance = metadata.wait()
        boot.run()
    except Unreachable as error:
        machine.fail(f"no user data was run: {error}")
    except Refused as error:
        machine.warn(f"no user data was run: {error}")
    except Exception as error:  # a bug of ours must still end in a status that `status --wait` sees
        machine.fail(f"internal error: {type(error).__name__}: {error}")
    if boot.failed is not None:
        machine.say(f"cloud-init: user data failed with exit code {boot.failed}")
    if not boot.interrupted:
        machine.say(boot.final_message())
    if machine.errors:
        machine.report_failure()
    if not boot.interrupted:
        machine.set_status("error" if machine.errors else "done", boot.instance)
    machine.close_output()
    if boot.ending:
        machine.run(boot.ending)
