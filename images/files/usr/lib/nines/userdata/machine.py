"""The machine that user data acts upon: its file tree, its commands, its log.

All paths go through `path`, so that the tests use a directory for a machine.
"""

import contextlib
import json
import os
import socket
import subprocess
import time


class Machine:
    def __init__(self, root="/"):
        self.root = root
        self.errors = []
        self.started = None  # when user data began to run
        self.authorized = False  # somebody's key was installed, so the SSH server has a use
        self.output = None  # where scripts write: the console and cloud-init-output.log

    def path(self, *parts):
        return os.path.join(self.root, *(part.lstrip("/") for part in parts))

    def open_output(self):
        """One `tee` takes everything that scripts print, to the log and to the console.

        A process of its own, because what a script leaves in the background keeps printing after
        this program has ended; through a pipe of ours it would then be killed.
        """
        log = self.own_log("cloud-init-output.log")
        self.own_log("cloud-init.log")
        try:
            # Not as our controlling terminal: its hang-up would end what user data left running.
            console = os.open(self.path("dev/console"), os.O_WRONLY | os.O_NOCTTY)
        except OSError:
            console = os.open(os.devnull, os.O_WRONLY)
        self.tee = subprocess.Popen(["tee", "-a", log], stdin=subprocess.PIPE, stdout=console)
        self.output = self.tee.stdin
        os.close(console)

    def own_log(self, name):
        """Makes a log that only root and the group `adm` may read, as cloud-init's: scripts print secrets."""
        path = self.path("var/log", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        groups = (line.split(":") for line in (self.read("etc/group") or "").splitlines())
        adm = next((int(fields[2]) for fields in groups if fields[0] == "adm" and fields[2:3] and fields[2].isdigit()), -1)
        with open(path, "a", opener=private) as file, contextlib.suppress(OSError):  # worth less than what user data does
            os.fchmod(file.fileno(), 0o640)  # an image may bring one of an older boot
            os.fchown(file.fileno(), -1, adm)
        return path

    def close_output(self):
        self.output.close()
        try:
            self.tee.wait(timeout=1)
        except subprocess.TimeoutExpired:
            pass  # something in the background still prints; it may

    def say(self, text):
        """A line for the user: on the console and in both logs."""
        self.show(text)
        self.log(text)

    def show(self, text):
        """The same for what is secret: where scripts print, too, and not in the log of what was done."""
        line = (text + "\n").encode("utf-8", "replace")
        if self.output:
            self.output.write(line)
            self.output.flush()

    def log(self, text, level="INFO"):
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        with open(self.path("var/log/cloud-init.log"), "a", opener=private) as file:
            file.write(f"{stamp} - {level}: {text}\n")

    def warn(self, text):
        self.say(f"cloud-init: warning: {text}")

    def fail(self, text):
        self.errors.append(text)
        self.say(f"cloud-init: {text}")

    def report_failure(self):
        """Tells the cloud what went wrong first, by the socket that systemd reports its readiness to."""
        reason = " ".join(self.errors[0].split())
        # On a host that has no such socket nobody asks.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect(self.path("run/host/notify"))
            notify.send(f"X_NINES_USER_DATA_FAILED={reason}".encode()[:500])

    def run(self, command, input=None, **environment):
        """Runs to its end with closed input or the given text, in `/`, output to the log and console; gives the exit code."""
        self.log(f"running {command}")
        done = subprocess.run(
            command,
            cwd=self.root,
            **({"stdin": subprocess.DEVNULL} if input is None else {"input": input.encode()}),
            stdout=self.output or subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
        )
        # A death by signal is told as a shell would.
        return done.returncode if done.returncode >= 0 else 128 - done.returncode

    def must_run(self, command, input=None, **environment):
        code = self.run(command, input=input, **environment)
        if code:
            raise OSError(f"{command[0]} failed with exit code {code}")

    def write(self, name, content, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def read(self, name):
        try:
            with open(self.path(name)) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def systemd(self):
        """Whether it is the init, as sd_booted(3) tells."""
        return os.path.isdir(self.path("run/systemd/system"))

    def family(self):
        """What distributions' AMIs differ in; written when the image was made."""
        return {"user": "admin", "ssh": "ssh.service", "packages": "apt"} | json.loads(self.read("usr/lib/nines/family.json") or "{}")

    def set_status(self, status, instance=None):
        """What `cloud-init status` tells, and scripts read: in cloud-init's places and form, as of one stage.

        The files lie with the instance's; under /run are links, so that each boot starts without them.
        """
        now, source = time.time(), "DataSourceEc2Local" if instance else None
        self.started = self.started or now
        ended = status in ("done", "error")
        stage = {"errors": self.errors, "finished": now if ended else None, "start": self.started}
        told = {"v1": {"datasource": source, "modules-final": stage, "stage": None if ended else "modules-final"}}
        self.link_data("status.json", told)
        if ended:
            self.link_data("result.json", {"v1": {"datasource": source, "errors": self.errors}})

    def link_data(self, name, content):
        path = self.write(f"var/lib/cloud/data/{name}.new", json.dumps(content, indent=1) + "\n")
        os.rename(path, self.path("var/lib/cloud/data", name))
        link = self.path("run/cloud-init", name)
        os.makedirs(os.path.dirname(link), exist_ok=True)
        if not os.path.lexists(link):
            os.symlink(f"../../var/lib/cloud/data/{name}", link)


def private(path, flags):
    return os.open(path, flags, 0o640)


def uptime():
    """Seconds since the instance's init started; /proc/uptime tells the host's on kernels without time namespaces."""
    with open("/proc/1/stat") as file:
        started = int(file.read().rsplit(")", 1)[1].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
