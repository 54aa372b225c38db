"""Cloud-configs as people have them: who may log in, how parts are joined, what is known of the instance."""

import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import stat
import subprocess
import sys
import unittest
import unittest.mock

from . import IMAGES, metadata
from .test_boot import mime
from userdata import account, formats, imds, instance_data, merge


class CloudConfig(unittest.TestCase):
    def setUp(self):
        context = metadata.trial()
        self.trial = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)

    def commands(self, config, **more):
        log = self.trial.boot("#cloud-config\n" + config, **more)
        self.assertNotIn("not emulated", log)
        return [command for command in self.trial.machine.commands if not command.startswith(("systemctl", "ssh-keygen"))]

    def test_a_password_for_the_default_user(self):
        """The lines that most tutorials begin with."""
        commands = self.commands("password: secret\nchpasswd: {expire: false}\nssh_pwauth: true\n")
        self.assertEqual(["chpasswd"], commands)
        self.assertEqual("PasswordAuthentication yes\n", self.trial.read("etc/ssh/sshd_config.d/50-cloud-init.conf"))
        self.assertIn("systemctl enable --quiet --now --no-block ssh.service", self.trial.machine.commands)
        self.assertEqual(["chpasswd", "passwd --quiet --expire admin"], self.commands("password: secret\n", instance="i-2"))

    def test_passwords_made_up_are_told(self):
        commands = self.commands("chpasswd:\n  list: |\n    a:RANDOM\n    b:$6$x$y\n    c:plain\n")
        self.assertEqual(["chpasswd", "chpasswd --encrypted", *(f"passwd --quiet --expire {name}" for name in "abc")], commands)
        self.assertRegex(self.trial.read("dev/console"), r"'random' passwords\na:[A-Za-z0-9]{20}\n")

    def test_users(self):
        self.trial.add("etc/group", "sudo:x:27:\n")
        commands = self.commands(
            "users:\n- default\n- name: ops\n  groups: [sudo, docker]\n  plain_text_passwd: secret\n  lock_passwd: false\n  uid: 1500\n"
            "- {name: svc, system: true, no_user_group: true}\n"
        )
        self.assertIn("groupadd docker", commands)
        self.assertNotIn("groupadd sudo", commands)
        self.assertIn("useradd ops --uid 1500 --create-home", commands)
        self.assertEqual(1, commands.count("chpasswd"))
        self.assertNotIn("passwd --quiet --lock ops", commands)
        self.assertIn("useradd svc --system --no-user-group --no-create-home", commands)
        self.assertIn("passwd --quiet --lock ops", self.commands("users: [{name: ops, plain_text_passwd: x}]\n", instance="i-2"))

    def test_another_default_user(self):
        self.trial.add("etc/passwd", f"ec2-user:x:{os.getuid()}:{os.getgid()}::/home/ec2-user:/bin/bash\n")
        os.makedirs(os.path.join(self.trial.root, "home/ec2-user"))
        self.commands("user: ec2-user\nssh_authorized_keys: [ssh-ed25519 AAAA mine]\n")
        self.assertEqual("ssh-ed25519 AAAA mine\n", self.trial.read("home/ec2-user/.ssh/authorized_keys"))
        self.assertEqual("ec2-user ALL=(ALL) NOPASSWD:ALL\n", self.trial.read("etc/sudoers.d/90-cloud-init-ec2-user"))

    def test_the_default_user_of_an_image_that_another_stands_in_for(self):
        """The host writes it: an id of Ubuntu's that runs Debian has the user that its stacks and scripts name."""
        self.trial.add("usr/lib/nines/family.json", '{"user": "ubuntu", "stands_in_for": "admin"}')
        self.trial.add("etc/group", "admin:x:1000:\n")
        commands = self.commands("{}")
        renamed = ["groupmod --new-name ubuntu admin", "usermod --login ubuntu --home /home/ubuntu --move-home admin"]
        self.assertEqual(renamed, [command for command in commands if "mod --" in command and "--append" not in command])
        rules = [self.trial.read(f"etc/sudoers.d/90-cloud-init-{name}") for name in ("users", "ubuntu")]
        self.assertEqual(["ubuntu ALL=(ALL) NOPASSWD:ALL\n"] * 2, rules)

    def test_who_is_there_already_is_not_renamed(self):
        self.trial.add("usr/lib/nines/family.json", '{"user": "admin", "stands_in_for": "debian"}')
        self.assertFalse([command for command in self.commands("{}") if command.startswith(("groupmod", "usermod --login"))])

    def test_users_in_every_form(self):
        of = lambda config: [entry["name"] for entry in account.users(metadata.Recorded(self.trial.root), config)[0]]
        self.assertEqual(["admin"], of({}))
        self.assertEqual([], of({"users": []}))
        self.assertEqual(["admin", "a", "b"], of({"users": ["default", "a, b"]}))
        self.assertEqual(["a", "b"], of({"users": {"a": {"uid": 1}, "b": True, "c": False}}))
        self.assertEqual(["x"], of({"users": [{"name": "default"}], "user": {"name": "x"}}))

    def test_root_is_told_to_log_in_as_another(self):
        self.trial.add("etc/passwd", f"root:x:{os.getuid()}:{os.getgid()}::/root:/bin/bash\n")
        os.makedirs(os.path.join(self.trial.root, "root"))
        self.commands("ssh_authorized_keys: [ssh-ed25519 AAAA mine]\n")
        keys = self.trial.read("root/.ssh/authorized_keys")
        self.assertRegex(keys, r'^no-port-forwarding,.*command="echo \'Please login as the user \\"admin\\" .* ssh-ed25519 AAAA mine\n$')
        os.unlink(os.path.join(self.trial.root, "root/.ssh/authorized_keys"))
        self.commands("disable_root: false\nssh_authorized_keys: [ssh-ed25519 AAAA mine]\n", instance="i-2")
        self.assertEqual("ssh-ed25519 AAAA mine\n", self.trial.read("root/.ssh/authorized_keys"))

    def test_host_keys_come_with_user_data_and_are_told(self):
        self.commands("ssh_authorized_keys: [ssh-ed25519 AAAA mine]\nssh_keys: {ed25519_private: KEY, ed25519_public: ssh-ed25519 HOST}\n")
        key = os.path.join(self.trial.root, "etc/ssh/ssh_host_ed25519_key")
        self.assertEqual(0o600, stat.S_IMODE(os.stat(key).st_mode))
        told = "-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 HOST\n-----END SSH HOST KEY KEYS-----\n"
        self.assertIn(told, self.trial.read("dev/console"))

    def test_a_group_member_that_is_not_there_yet_is_left_out(self):
        config = "#cloud-config\ngroups: [{docker: [alice, admin]}, {bad: []}, late]\nusers: [default, {name: alice}]\n"
        log = self.trial.boot(config, failing=["usermod --append --groups docker alice", "groupadd --force bad"])
        commands = self.trial.machine.commands
        self.assertIn("there is no user alice yet to be in docker; ignored", log)
        self.assertIn("usermod --append --groups docker admin", commands)
        self.assertIn("groupadd --force late", commands)
        self.assertIn("useradd alice --create-home", commands)
        self.assertEqual(["users_groups: bad: groupadd failed with exit code 1"], self.trial.machine.errors)

    def test_nothing_malformed_costs_the_login_keys(self):
        config = "#cloud-config\nssh_keys: [a]\nusers: [default, null, [x], {name: null}, {name: ops}]\npassword: secret\nchpasswd: {users: [null]}\n"
        log = self.trial.boot(config + "ssh_authorized_keys: [ssh-ed25519 AAAA mine]\n")
        self.assertEqual("ssh-ed25519 AAAA mine\n", self.trial.read("home/admin/.ssh/authorized_keys"))
        self.assertIn("warning: ssh: ssh_keys must be a mapping; ignored", log)
        for entry in ("None", "['x']", "{'name': None}"):
            self.assertEqual(1, log.count(f"warning: users: {entry} names nobody; ignored"), entry)
        self.assertIn("useradd ops --create-home", self.trial.machine.commands)
        self.assertIn("admin:secret\n", self.trial.machine.inputs)
        self.assertEqual([], self.trial.machine.errors)

    def test_secrets_are_in_no_argument_and_logs_are_not_for_everybody(self):
        adm = os.getgid() or 4  # root may give a file to any group, others to their own
        self.trial.add("etc/group", f"adm:x:{adm}:\n")
        self.trial.add("var/log/cloud-init-output.log", "of an older boot\n")
        log = self.trial.boot("#cloud-config\nusers: [{name: ops, passwd: $6$x$y}]\nchpasswd: {list: [ops:RANDOM]}\n")
        self.assertIn("ops:$6$x$y\n", self.trial.machine.inputs)
        self.assertNotIn("$6$x$y", " ".join(self.trial.machine.commands))
        self.assertRegex(log, r"'random' passwords\nops:")
        self.assertNotIn("'random' passwords", self.trial.read("var/log/cloud-init.log"))
        for name in ("cloud-init.log", "cloud-init-output.log"):
            seen = os.stat(os.path.join(self.trial.root, "var/log", name))
            self.assertEqual((0o640, adm), (stat.S_IMODE(seen.st_mode), seen.st_gid), name)

    def test_etc_hosts(self):
        self.trial.add("etc/hosts", "127.0.0.1 localhost\n10.0.0.9 db\n")
        self.commands("manage_etc_hosts: false\nhostname: web\n")
        self.assertNotIn("web", self.trial.read("etc/hosts"))
        self.commands("manage_etc_hosts: localhost\nfqdn: web.example.com\n", instance="i-2")
        self.assertEqual("127.0.0.1 localhost\n10.0.0.9 db\n127.0.1.1 web.example.com web\n", self.trial.read("etc/hosts"))
        self.commands("manage_etc_hosts: true\nhostname: web\n", instance="i-3")
        self.assertIn("\n127.0.1.1 web.ec2.internal web\n127.0.0.1 localhost\n", self.trial.read("etc/hosts"))

    def test_mounts(self):
        log = self.trial.boot("#cloud-config\nmounts:\n- [tmpfs, /mnt/ram, tmpfs, 'size=64M']\n- [xvdb, /data]\n- ['fs-1:/', /efs, nfs4]\n")
        self.assertEqual(
            "tmpfs\t/mnt/ram\ttmpfs\tsize=64M,comment=cloudconfig\t0\t2\nfs-1:/\t/efs\tnfs4\tdefaults,nofail,comment=cloudconfig\t0\t2\n",
            self.trial.read("etc/fstab"))
        self.assertEqual(["mount /mnt/ram", "mount /efs"], self.trial.machine.commands)
        self.assertTrue(self.trial.has("mnt/ram"))
        self.assertIn("there is no device xvdb; ignored", log)

    def test_a_mount_that_fails_is_not_the_end_of_the_others(self):
        config = "mount_default_fields: [null, null, ext4, null, 0]\nmounts: [[a:/, /a, nfs4, ro], [b:/, /b], [], [c:/, /c, nfs4, ro]]\n"
        log = self.trial.boot("#cloud-config\n" + config, failing=["mount /a", "mount /b"])
        self.assertEqual(["mount /a", "mount /b", "mount /c"], self.trial.machine.commands)
        self.assertIn("b:/\t/b\text4\tdefaults,nofail,comment=cloudconfig\t0\t2\n", self.trial.read("etc/fstab"))
        self.assertIn("warning: mounts: /b: mount failed with exit code 1", log)
        self.assertEqual(["mounts: /a: mount failed with exit code 1"], self.trial.machine.errors)

    def test_locale(self):
        self.assertEqual([], self.commands("locale: C.UTF-8\n"))
        self.trial.add("usr/sbin/locale-gen", "")
        self.assertEqual(["locale-gen"], self.commands("locale: de_DE.UTF-8\n", instance="i-2"))
        self.assertEqual("de_DE.UTF-8 UTF-8\n", self.trial.read("etc/locale.gen"))
        self.assertEqual("LANG=de_DE.UTF-8\n", self.trial.read("etc/default/locale"))
        self.assertFalse(self.commands("locale: false\n", instance="i-3"))

    def test_phone_home(self):
        asked = []

        class Home(metadata.Service):
            def answer(self, method, path, headers):
                asked.append((method, path))
                return 200, b""

        with metadata.serving(Home({})) as (host, port):
            self.commands(f"phone_home: {{url: 'http://{host}:{port}/$INSTANCE_ID/', post: [instance_id, fqdn], tries: 1}}\n")
        self.assertEqual([("POST", "/i-1/")], asked)
        self.trial.boot(f"#cloud-config\nphone_home: {{url: 'http://{host}:{port}/', tries: 1}}\n", instance="i-2")
        self.assertIn("phone_home: http://", self.trial.read("run/cloud-init/result.json"))

    def test_scripts_of_a_period(self):
        parts = [(f"text/x-shellscript-{period}", f"#!/bin/sh\necho {period}") for period in formats.PERIODS]
        self.trial.boot(mime(*parts))
        self.trial.boot(mime(*parts))
        self.trial.boot(mime(*parts), instance="i-2")
        lines = self.trial.read("var/log/cloud-init-output.log").splitlines()
        self.assertEqual([3, 2, 1], [lines.count(period) for period in formats.PERIODS])

    def test_what_is_included_once_stays(self):
        served = metadata.Service({"part": b"#cloud-boothook\necho first\n"}, version=1)
        with metadata.serving(served) as (host, port):
            text = f"#include-once\nhttp://{host}:{port}/latest/part\n"
            self.trial.boot(text)
            served.values["part"] = b"#cloud-boothook\necho second\n"
            log = self.trial.boot(text)
            self.assertEqual((2, 0), (log.count("first\n"), log.count("second\n")))
            self.assertEqual(1, log.replace("cloud-init", "").count("second\n") + self.trial.boot(text, instance="i-2").count("second\n"))

    def test_a_first_empty_line_and_other_letters(self):
        self.assertIn("runs", self.trial.boot("\n\n#Cloud-Config\nruncmd: [echo runs]\n"))

    def test_an_archive_entry_of_no_type_is_a_cloud_config(self):
        log = self.trial.boot("#cloud-config-archive\n- content: 'runcmd: [echo config]'\n- {content: '#!/bin/sh\n\n  echo script', filename: s.sh}\n")
        self.assertIn("script\n", log)
        self.assertIn("config\n", log)

    def test_a_config_that_says_how_it_is_joined(self):
        first, how = "runcmd: [echo one]\n", "merge_how: list(append)+dict(recurse_array)+str()\n"
        self.assertIn("one\ntwo\n", self.trial.boot(mime(("text/cloud-config", first), ("text/cloud-config", how + "runcmd: [echo two]\n"))))
        log = self.trial.boot(mime(("text/cloud-config", first), ("text/cloud-config", "runcmd: [echo three]\n")), instance="i-2")
        self.assertEqual((1, 1), (log.count("one\n"), log.count("three\n")), "of the first boot only")
        # As Terraform's cloudinit_config writes it.
        header = "text/cloud-config\nX-Merge-Type: list(append)+dict(recurse_array)+str()"
        log = self.trial.boot(mime(("text/cloud-config", first), (header, "runcmd: [echo four]\n")), instance="i-3")
        self.assertIn("one\nfour\n", log)


class Merge(unittest.TestCase):
    def check(self, how, old, new, expected):
        self.assertEqual(expected, merge.merged(old, new, merge.rules(how)), how)

    def test_as_documented(self):
        a, b = {"l": [1], "s": "a", "d": {"x": 1}}, {"l": [2, 3], "s": "b", "d": {"y": 2}, "n": 1}
        self.check(merge.DEFAULT, a, b, b)
        self.check("list()+dict()+str()", a, b, a | {"d": {"x": 1, "y": 2}, "n": 1})
        self.check("list(append)+dict(recurse_array)+str()", a, b, {"l": [1, 2, 3], "s": "a", "d": {"x": 1, "y": 2}, "n": 1})
        self.check("list(prepend)+dict(recurse_list, recurse_str)+str(append)", a, b, {"l": [2, 3, 1], "s": "ab", "d": {"x": 1, "y": 2}, "n": 1})
        self.check("dict(recurse_array,no_replace)+list(no_replace)", a, b, a | {"d": {"x": 1, "y": 2}, "n": 1})
        self.check("dict(allow_delete)", {"a": 1}, {"a": None}, {})
        self.check([{"name": "list", "settings": ["append"]}, {"name": "dict", "settings": ["recurse_list"]}], {"l": [1]}, {"l": [2]}, {"l": [1, 2]})

    def test_what_is_no_rule(self):
        for bad in ("list", "tuple(append)", "list(append"):
            with self.assertRaises(ValueError):
                merge.rules(bad)


TREE = {
    "meta-data/": b"ami-id\niam/\npublic-keys/\nplacement/\ninstance-id\nsecurity-groups",
    "meta-data/ami-id": b"ami-1",
    "meta-data/instance-id": b"i-1",
    "meta-data/security-groups": b"a\nb",
    "meta-data/iam/": b"info\nsecurity-credentials/",
    "meta-data/iam/info": b'{"Code": "Success"}',
    "meta-data/iam/security-credentials/": b"role",
    "meta-data/iam/security-credentials/role": b'{"SecretAccessKey": "secret"}',
    "meta-data/public-keys/": b"0=mine",
    "meta-data/public-keys/0/openssh-key": b"ssh-rsa AAAA mine\n",
    "meta-data/placement/": b"region\navailability-zone",
    "meta-data/placement/region": b"eu-west-1",
    "meta-data/placement/availability-zone": b"eu-west-1b",
}


class InstanceData(unittest.TestCase):
    def setUp(self):
        context = metadata.trial()
        self.trial = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)

    def test_files_of_it(self):
        self.trial.boot("#!/bin/sh\ncp run/cloud-init/instance-data.json seen\n", **TREE)
        found = json.loads(self.trial.read("seen"))
        self.assertEqual(("eu-west-1", "eu-west-1b", ["ssh-rsa AAAA mine"]), tuple(found["v1"][key] for key in ("region", "availability_zone", "public_ssh_keys")))
        meta = found["ds"]["meta_data"]
        self.assertEqual((["a", "b"], {"Code": "Success"}), (meta["security-groups"], meta["iam"]["info"]))
        self.assertEqual(instance_data.REDACTED, meta["iam"]["security-credentials"])
        sensitive = os.path.join(self.trial.root, instance_data.SENSITIVE)
        self.assertEqual(0o600, stat.S_IMODE(os.stat(sensitive).st_mode))
        self.assertIn("SecretAccessKey", self.trial.read(instance_data.SENSITIVE))
        self.assertNotIn("SecretAccessKey", self.trial.read(instance_data.PLACE))

    def test_the_program_finds_the_modules_of_the_distribution(self):
        """It is started without them, as that is quicker."""
        code = "import sys; sys.path.insert(0, sys.argv[1]); from userdata import packages; packages(); import jinja2, yaml"
        place = os.path.join(IMAGES, "files/usr/lib/nines")
        subprocess.run([sys.executable, "-IS", "-c", code, place], check=True)

    def test_names(self):
        data = instance_data.known({"v1": {"region": "r"}, "ds": {"meta_data": {"ami-id": "a"}}})
        self.assertEqual(["r", "r", "a"], [instance_data.lookup(data, path) for path in ("region", "v1.region", "ds.meta_data.ami_id")])
        for path in ("none", "v1.none", "region.none"):
            with self.assertRaises(KeyError):
                instance_data.lookup(data, path)

    def test_an_answer_that_ends_early(self):
        for answer in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", b"nonsense\r\n\r\n"):
            with self.assertRaises(imds.Unreachable):
                imds.following(io.BytesIO(answer))


class Command(unittest.TestCase):
    """`cloud-init`, as scripts call it, over what a boot left."""

    def setUp(self):
        context = metadata.trial()
        self.trial = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        path = os.path.join(IMAGES, "files/usr/bin/cloud-init")
        loader = importlib.machinery.SourceFileLoader("cloud_init_command", path)
        self.command = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
        with unittest.mock.patch.object(sys, "dont_write_bytecode", True):
            loader.exec_module(self.command)
        place = lambda name: os.path.join(self.trial.root, name)
        self.command.RUN, self.command.HOME = place("run/cloud-init"), place("var/lib/cloud")
        self.command.DISABLED, self.command.LOGS = place("etc/disabled"), (place("var/log/cloud-init.log"),)

    def said(self, *words):
        """What it prints on either, and its exit code."""
        out, error = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error), unittest.mock.patch.object(sys, "argv", ["cloud-init", *words]):
            code = self.command.main()
        return out.getvalue() + error.getvalue(), code

    def test_status(self):
        self.assertEqual(("status: not run\n", 0), self.said("status"))
        self.trial.boot("#!/bin/sh\ntrue\n")
        self.assertEqual(("\nstatus: done\n", 0), self.said("status", "--wait"))
        self.assertEqual("ec2", json.loads(self.said("status", "--format", "json")[0])["datasource"])
        self.trial.boot("#!/bin/sh\nexit 3\n", instance="i-2")
        text, code = self.said("status", "--long")
        self.assertEqual(1, code)
        self.assertRegex(text, r"^status: error\nboot_status_code: enabled-by-generator\nlast_update: .*\ndetail:\npart-001 failed with exit code 3\n$")
        self.trial.add("etc/disabled", "")
        self.assertEqual(("status: disabled\n", 0), self.said("status"))

    def test_query_and_clean(self):
        self.assertIn("Missing instance-data file", self.said("query", "region")[0])
        self.trial.boot("#!/bin/sh\ntrue\n", **TREE)
        self.assertEqual(("eu-west-1\n", 0), self.said("query", "region"))
        self.assertEqual(("i-1 in eu-west-1b\n", 0), self.said("query", "--format", "{{ instance_id }} in {{ v1.availability_zone }}"))
        self.assertEqual(("availability-zone\nregion\n", 0), self.said("query", "--list-keys", "ds.meta_data.placement"))
        self.assertEqual(("ERROR: Undefined instance-data key 'none'\n", 1), self.said("query", "none"))
        self.assertEqual(1, self.said("query")[1])
        self.assertEqual(("", 0), self.said("clean", "--logs"))
        self.assertFalse(os.listdir(self.command.HOME) or self.trial.has("var/log/cloud-init.log"))
        self.assertEqual(("status: not run\n", 0), self.said("status"))
        self.assertEqual(("eu-west-1\n", 0), self.said("query", "region"))
