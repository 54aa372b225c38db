import json
import os
import socket
import subprocess
import tempfile
import unittest

from . import IMAGES  # makes the images' files known, too
import container
import report

SPEC = {
    "process": {"env": ["PATH=/bin"]},
    "mounts": [
        {"destination": "/proc", "type": "proc"},
        {"destination": "/dev", "type": "tmpfs"},
        {"destination": "/sys", "type": "sysfs"},
    ],
}
FILES = {"/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu/online"}


class Report(unittest.TestCase):
    def test_what_cloud_init_left_behind_is_told(self):
        with tempfile.TemporaryDirectory() as directory:
            result = os.path.join(directory, "result.json")
            self.assertIn("left no result", report.failure(result))
            for errors, expected in (([], None), (["('scripts_user',\n  Runparts)", "more"], "('scripts_user', Runparts)")):
                with open(result, "w") as file:
                    json.dump({"v1": {"datasource": None, "errors": errors}}, file)
                self.assertEqual(expected, report.failure(result))
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
                notify.bind(os.path.join(directory, "notify"))
                report.tell("why", os.path.join(directory, "notify"))
                self.assertEqual(b"X_NINES_USER_DATA_FAILED=why", notify.recv(1000))


class AuthorizedKeys(unittest.TestCase):
    def keys(self, curl):
        """What the program prints where curl is a script."""
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "curl")
            with open(path, "w") as file:
                file.write(f"#!/bin/sh\n{curl}\n")
            os.chmod(path, 0o755)
            program = os.path.join(IMAGES, "files/usr/lib/nines/authorized-keys")
            environment = {"PATH": f"{directory}:/usr/bin:/bin"}
            done = subprocess.run([program, "admin"], env=environment, capture_output=True, text=True, check=True)
            return done.stdout

    def test_sent_keys_are_asked_for_with_a_token(self):
        asked = self.keys('case "$*" in *api/token) echo secret;; *) echo "$*";; esac')
        self.assertIn("X-aws-ec2-metadata-token: secret", asked)
        self.assertTrue(asked.endswith("/latest/meta-data/managed-ssh-keys/active-keys/admin/\n"), asked)

    def test_no_answer_is_no_key(self):
        self.assertEqual("", self.keys("exit 22"))
        self.assertEqual("", self.keys('case "$*" in *api/token) echo secret;; *) exit 22;; esac'))


class Container(unittest.TestCase):
    def added(self, spec, bundle=None):
        changed = container.mounts(spec, bundle, FILES.__contains__)["mounts"]
        self.assertEqual(spec.get("mounts", []), changed[: len(spec.get("mounts", []))], "what it had comes first")
        return {mount["destination"]: mount["source"] for mount in changed[len(spec.get("mounts", [])) :]}

    def test_the_instances_files_cover_those_of_a_new_proc(self):
        self.assertEqual({file: file for file in FILES}, self.added(SPEC))
        own = {"mounts": [{"destination": "/proc", "type": "bind"}, {"destination": "/sys", "type": "bind"}]}
        self.assertEqual({}, self.added(own))
        self.assertEqual({}, self.added({}))
        given = SPEC | {"mounts": [*SPEC["mounts"], {"destination": "/proc/meminfo", "type": "bind"}]}
        self.assertEqual(FILES - {"/proc/meminfo"}, set(self.added(given)))

    def test_authorities_come_by_name_where_the_image_has_none_of_its_own(self):
        self.assertEqual("/bundle", self.added(SPEC, "/bundle")[container.INSIDE])
        names = lambda described: [line.partition("=")[0] for line in container.process(described, "/bundle", set())["env"]]
        self.assertEqual(["PATH", *container.VARIABLES], names(SPEC["process"]))
        own = {"env": ["SSL_CERT_FILE=/own"]}
        self.assertEqual(own, container.process(own, "/bundle", set()))
        self.assertEqual(SPEC["process"], container.process(SPEC["process"], None, set()))
        exists = set(container.AUTHORITIES[0]).__contains__
        self.assertEqual("/etc/ssl/certs/ca-certificates.crt", container.authorities(exists))
        self.assertIsNone(container.authorities({"/etc/ssl/certs/ca-certificates.crt"}.__contains__))

    def test_all_rights_are_those_that_can_be_had(self):
        with tempfile.NamedTemporaryFile("w") as status:
            status.write("CapPrm:\t0\nCapBnd:\t0000000000010001\n")
            status.flush()
            rights = container.held(status.name)
        self.assertEqual({"CAP_CHOWN", "CAP_SYS_MODULE"}, rights)
        self.assertEqual((41, 25), (len(container.CAPABILITIES), container.CAPABILITIES.index("SYS_TIME")))
        wanted = {"capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_TIME"], "ambient": None}}
        self.assertEqual({"bounding": ["CAP_CHOWN"], "ambient": []}, container.process(wanted, None, rights)["capabilities"])

    def test_the_file_that_the_runtime_will_read(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "config.json")
            with open(path, "w") as file:
                json.dump(SPEC, file)
            for arguments in (["--root", "/run", "create", "--bundle", directory, "id"], ["run", f"--bundle={directory}", "id"]):
                container.main(arguments)
                with open(path) as file:
                    found = [mount["destination"] for mount in json.load(file)["mounts"]]
                self.assertEqual(1, found.count("/proc/meminfo"), "once, however often it is asked")
            container.main(["exec", "--process", path, "id"])
            container.main(["exec", "id", "true"])
