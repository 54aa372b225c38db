import base64
import gzip
import json
import os
import socket
import unittest

from . import metadata
from userdata import boot, imds


def mime(*parts):
    lines = ['Content-Type: multipart/mixed; boundary="//"', "MIME-Version: 1.0", ""]
    for kind, content in parts:
        lines += ["--//", f"Content-Type: {kind}", "", content]
    return "\n".join([*lines, "--//--", ""])


class Boot(unittest.TestCase):
    def setUp(self):
        context = metadata.trial()
        self.trial = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)

    def status(self):
        """As `cloud-init status` reads it."""
        seen = json.loads(self.trial.read("run/cloud-init/status.json"))["v1"]
        errors = seen["modules-final"]["errors"]
        self.assertEqual(errors, json.loads(self.trial.read("var/lib/cloud/data/result.json"))["v1"]["errors"])
        return {"status": "running" if seen["stage"] else "error" if errors else "done", "errors": errors}

    def test_script_runs_once_per_instance_from_the_root_directory(self):
        script = "#!/bin/sh\npwd; read line || echo closed; echo oops >&2\n"
        log = self.trial.boot(script)
        self.assertIn(f"{os.path.realpath(self.trial.root)}\nclosed\noops\n", log)
        self.assertIn("Cloud-init v. 1-nines finished at ", log)
        self.assertEqual(log, self.trial.read("dev/console"))
        self.assertEqual(script, self.trial.read("var/lib/cloud/instance/user-data.txt"))
        self.assertEqual(script, self.trial.read("var/lib/cloud/instances/i-1/scripts/part-001"))
        self.assertTrue(self.trial.has("var/lib/cloud/instance/sem/config_scripts_user"))
        self.assertTrue(self.trial.has("var/lib/cloud/instance/boot-finished"))
        self.assertEqual("done", self.status()["status"])
        self.assertEqual(1, self.trial.boot(script).count("oops"))
        self.assertEqual(2, self.trial.boot(script, instance="i-2").count("oops"))
        self.assertEqual("i-1\n", self.trial.read("var/lib/cloud/data/previous-instance-id"))

    def test_failing_script_is_told_and_the_boot_finishes(self):
        log = self.trial.boot("#!/bin/sh\necho first\nexit 7\n")
        self.assertRegex(log, r"first\ncloud-init: user data failed with exit code 7\nCloud-init v\. ")
        self.assertEqual("error", self.status()["status"])
        self.assertEqual(["part-001 failed with exit code 7"], self.status()["errors"])

    def test_a_failure_is_told_to_the_cloud(self):
        path = os.path.join(self.trial.root, "run/host/notify")
        os.makedirs(os.path.dirname(path))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.setblocking(False)
            self.trial.boot("#!/bin/sh\ntrue\n")
            self.assertRaises(BlockingIOError, notify.recv, 1000)
            self.trial.boot("#!/bin/sh\nexit 7\n", instance="i-2")
            self.assertEqual(b"X_NINES_USER_DATA_FAILED=part-001 failed with exit code 7", notify.recv(1000))

    def test_script_that_cannot_run(self):
        self.assertIn("failed with exit code 127", self.trial.boot("#!/no/such/interpreter\n"))

    def test_killed_script_counts_as_a_shell_would(self):
        self.assertIn("failed with exit code 137", self.trial.boot("#!/bin/sh\nkill -9 $$\n"))

    def test_carriage_returns_do_not_break_the_interpreter(self):
        self.assertIn("hello", self.trial.boot("#!/bin/sh\r\necho hello\r\n"))

    def test_background_process_does_not_hold_up_the_boot_and_keeps_its_output(self):
        log = self.trial.boot("#!/bin/sh\nmkfifo gate\n(read x <gate; echo late) &\necho early\n")
        self.assertIn("early", log)
        self.assertEqual("done", self.status()["status"])
        with open(os.path.join(self.trial.root, "gate"), "w") as gate:
            gate.write("go\n")
        self.trial.machine.tee.wait(10)
        self.assertIn("late", self.trial.read("var/log/cloud-init-output.log"))

    def test_no_user_data(self):
        self.assertIn("finished at", self.trial.boot())
        self.assertEqual("done", self.status()["status"])
        self.assertEqual("ip-10-0-1-5\n", self.trial.read("etc/hostname"))
        self.assertIn("127.0.1.1 ip-10-0-1-5.ec2.internal ip-10-0-1-5", self.trial.read("etc/hosts"))

    def test_unknown_text_is_ignored_with_a_warning(self):
        log = self.trial.boot("echo not a script\n")
        self.assertIn("warning: user data part-001 is not of a known kind; ignored", log)
        self.assertEqual("done", self.status()["status"])

    def test_gzip(self):
        self.assertIn("packed", self.trial.boot(gzip.compress(b"#!/bin/sh\necho packed\n")))
        self.assertIn("not valid gzip", self.trial.boot(b"\x1f\x8bnonsense", instance="i-2"))

    def test_mime_archive_runs_all_kinds_in_order(self):
        log = self.trial.boot(mime(
            ("text/x-shellscript", "#!/bin/sh\necho script"),
            ("text/cloud-config", "runcmd:\n- echo runcmd\n- [echo, 'two  words']\nbootcmd:\n- echo bootcmd $INSTANCE_ID"),
            ("text/cloud-boothook", "#cloud-boothook\necho boothook $INSTANCE_ID"),
            ("text/plain", "#!/bin/sh\necho detected"),
            ("text/part-handler", "#part-handler"),
        ))
        order = [line for line in log.splitlines() if not line.startswith(("cloud-init", "Cloud-init"))]
        self.assertEqual(["boothook i-1", "bootcmd i-1", "script", "detected", "runcmd", "two  words"], order)
        self.assertIn("part-handler, which is not emulated", log)

    def test_boothook_and_bootcmd_run_at_every_boot(self):
        data = mime(("text/cloud-boothook", "#cloud-boothook\necho hook"), ("text/cloud-config", "bootcmd: [echo boot]\nruncmd: [echo run]"))
        self.trial.boot(data)
        lines = self.trial.boot(data).splitlines()
        self.assertEqual([2, 2, 1], [lines.count(word) for word in ("hook", "boot", "run")])

    def test_scripts_at_every_boot_where_asked_as_in_the_documentation(self):
        data = mime(("text/cloud-config", "cloud_final_modules:\n- [scripts-user, always]"), ("text/x-shellscript", "#!/bin/sh\necho again"))
        self.trial.boot(data)
        self.assertEqual(2, self.trial.boot(data).count("again"))

    def test_include(self):
        served = metadata.Service({"part": b"#!/bin/sh\necho included\n"}, version=1)
        with metadata.serving(served) as (host, port):
            log = self.trial.boot(f"#include\nhttp://{host}:{port}/latest/part\nhttp://{host}:{port}/latest/none\n")
        self.assertIn("\nincluded\n", log)
        self.assertIn("cannot include", log)

    def test_write_files(self):
        packed = base64.b64encode(gzip.compress(b"packed")).decode()
        self.trial.boot(f"""#cloud-config
write_files:
- {{path: /opt/plain, content: "text\\n", permissions: '0640'}}
- {{path: /opt/plain, content: "more\\n", append: true, permissions: '0640'}}
- {{path: /opt/packed, content: {packed}, encoding: gz+b64}}
- {{path: /opt/binary, content: !!binary aGVsbG8=}}
- {{path: /opt/odd, content: x, encoding: rot13}}
- {{path: /opt/owned, content: x, owner: 'root:nosuchgroup'}}
- {{path: /opt/late, content: x, defer: true}}
""")
        self.assertEqual("text\nmore\n", self.trial.read("opt/plain"))
        self.assertEqual(0o640, os.stat(os.path.join(self.trial.root, "opt/plain")).st_mode & 0o777)
        self.assertEqual("packed", self.trial.read("opt/packed"))
        self.assertEqual("hello", self.trial.read("opt/binary"))
        self.assertFalse(self.trial.has("opt/odd"))
        self.assertTrue(self.trial.has("opt/late"))
        self.assertIn("rot13", str(self.status()["errors"]))
        self.assertIn("nosuchgroup", str(self.status()["errors"]))

    def test_packages(self):
        self.trial.boot("#cloud-config\npackages: [nginx, [curl, 7.88], {apt: [jq]}]\n")
        update, install = self.trial.machine.commands
        self.assertTrue(update.endswith(" update"))
        self.assertTrue(install.endswith(" install nginx curl=7.88 jq"), install)

    def test_packages_of_another_family(self):
        os.makedirs(os.path.join(self.trial.root, "usr/lib/nines"))
        with open(os.path.join(self.trial.root, "usr/lib/nines/family.json"), "w") as file:
            json.dump({"packages": "dnf"}, file)
        self.trial.boot("#cloud-config\npackages: [httpd, [jq, 1.7]]\npackage_upgrade: true\n")
        words = [command.replace("dnf --assumeyes --quiet ", "") for command in self.trial.machine.commands]
        self.assertEqual(["makecache", "upgrade", "install httpd jq-1.7"], words)
        self.trial.boot("#cloud-config\npackages: [{apt: [jq]}]\n", instance="i-2")
        self.assertIn("only dnf packages are known", str(self.status()["errors"]))

    def test_a_reboot_that_packages_want_comes_before_the_rest(self):
        data = "#cloud-config\npackages: [linux-image]\nruncmd: [echo later]\n"
        self.trial.add("var/run/reboot-required", "")
        self.assertIn("later\n", self.trial.boot(data, instance="i-0"))
        self.assertNotIn("systemctl --no-block reboot", self.trial.machine.commands)
        data += "package_reboot_if_required: true\n"
        log = self.trial.boot(data)
        self.assertEqual("systemctl --no-block reboot", self.trial.machine.commands[-1])
        self.assertEqual((1, 1), (log.count("later\n"), log.count(" finished at ")), "of the first instance only")
        self.assertIn("rebooting after upgrade or install, for /var/run/reboot-required", log)
        self.assertEqual("modules-final", json.loads(self.trial.read("run/cloud-init/status.json"))["v1"]["stage"])
        log = self.trial.boot(data)
        self.assertEqual([], self.trial.machine.commands)
        self.assertEqual((2, 2), (log.count("later\n"), log.count(" finished at ")))
        self.assertEqual("done", self.status()["status"])

    def test_package_name_that_is_an_option(self):
        self.trial.boot("#cloud-config\npackages: ['--allow-unauthenticated']\n")
        self.assertEqual([], self.trial.machine.commands)
        self.assertEqual("error", self.status()["status"])

    def test_users_and_keys(self):
        self.trial.boot(
            "#cloud-config\nusers:\n- default\n- {name: ops, groups: 'sudo, adm', shell: /bin/sh, sudo: 'ALL=(ALL) ALL', shoe: 1}\n"
            "ssh_authorized_keys: [ssh-ed25519 AAAA two]\n",
            **{"meta-data__public-keys__": b"0=mine", "meta-data__public-keys__0__openssh-key": b"ssh-rsa AAAA mine\n"},
        )
        commands = self.trial.machine.commands
        self.assertIn("useradd ops --shell /bin/sh --create-home", commands)
        self.assertIn("usermod --append --groups sudo,adm ops", commands)
        self.assertIn("systemctl enable --quiet --now --no-block ssh.service", commands)
        self.assertEqual("ssh-rsa AAAA mine\nssh-ed25519 AAAA two\n", self.trial.read("home/admin/.ssh/authorized_keys"))
        self.assertEqual("ops ALL=(ALL) ALL\n", self.trial.read("etc/sudoers.d/90-cloud-init-ops"))
        self.assertIn("'shoe' is not emulated", self.trial.read("dev/console"))

    def test_the_ssh_server_listens_by_itself_where_there_are_keys(self):
        wants = os.path.join(self.trial.root, "etc/systemd/system/sockets.target.wants")
        os.makedirs(wants)
        os.symlink("/lib/systemd/system/ssh.socket", os.path.join(wants, "ssh.socket"))
        self.trial.boot("#cloud-config\nssh_authorized_keys: [ssh-ed25519 AAAA mine]\n")
        self.assertEqual(
            ["systemctl disable --quiet --now ssh.socket", "systemctl enable --quiet --now --no-block ssh.service"],
            [command for command in self.trial.machine.commands if command.startswith("systemctl")],
        )

    def test_no_keys_no_ssh_server(self):
        self.trial.boot("#!/bin/sh\n")
        self.assertEqual([], self.trial.machine.commands)

    def test_without_systemd(self):
        from userdata import system

        os.rmdir(os.path.join(self.trial.root, "run/systemd/system"))
        self.trial.boot("#cloud-config\nusers:\n- default\nssh_authorized_keys: [ssh-ed25519 AAAA mine]\n")
        self.assertEqual("/usr/sbin/sshd", self.trial.machine.commands[-1])
        self.assertEqual(["reboot"], system.power_state(self.trial.machine, {"power_state": {"mode": "reboot"}}))
        with self.assertRaises(ValueError):
            system.power_state(self.trial.machine, {"power_state": {"mode": "halt", "delay": 5}})

    def test_hostname_of_several_domains(self):
        self.trial.boot(**{"meta-data__local-hostname": b"ip-10-0-1-5.corp.example lab.example"})
        self.assertEqual("ip-10-0-1-5\n", self.trial.read("etc/hostname"))
        self.assertIn("127.0.1.1 ip-10-0-1-5.corp.example ip-10-0-1-5\n", self.trial.read("etc/hosts"))

    def test_hostname_and_final_message(self):
        log = self.trial.boot("#cloud-config\nfqdn: web.example.com\nfinal_message: up after $UPTIME or $uptime\n")
        self.assertEqual("web\n", self.trial.read("etc/hostname"))
        self.assertRegex(log, r"up after \d+\.\d\d or \d+\.\d\d\n$")

    def test_bad_cloud_config(self):
        self.assertIn("is not valid YAML", self.trial.boot("#cloud-config\na: [\n"))
        self.assertIn("is not a mapping", self.trial.boot("#cloud-config\n- a\n", instance="i-2"))
        self.assertIn("'puppet' is not emulated", self.trial.boot("#cloud-config\npuppet: {}\n", instance="i-3"))
        self.assertIn("a command must be", self.trial.boot("#cloud-config\nruncmd: [{a: b}]\n", instance="i-4"))
        self.assertIn("write_files: ", self.trial.boot("#cloud-config\nwrite_files: [nonsense]\n", instance="i-5"))
        self.assertIn("is not valid YAML", self.trial.boot("#cloud-config\na: 2026-13-45\n", instance="i-6"))
        odd = "#cloud-config-archive\n- {type: [a], filename: 7, content: 'runcmd: [echo still here]'}\n"
        self.assertIn("still here", self.trial.boot(odd + "- {content: 'runcmd: [echo still here]'}\n", instance="i-7"))
        files = "write_files: [x, {path: /etc/gz, encoding: gz+b64, content: H4sIAAAAAAAAA////w==}, {path: /etc/good, content: g}]\n"
        self.assertIn("write_files: ", self.trial.boot("#cloud-config\n" + files, instance="i-8"))
        self.assertEqual(self.trial.read("etc/good"), "g")

    def test_metadata_version_1_and_late_network(self):
        self.assertIn("old", self.trial.boot("#!/bin/sh\necho old\n", version=1, failures=3))

    def test_metadata_switched_off(self):
        log = self.trial.boot("#!/bin/sh\necho never\n", version=0)
        self.assertIn("no user data was run", log)
        self.assertNotIn("never", log)

    def test_template(self):
        text = "## template: jinja\n#!/bin/sh\necho in {{ v1.instance_id }} {{ ds.meta_data.instance_id }} {{ v1.none }}\n"
        log = self.trial.boot(text, **{"meta-data/": b"instance-id"})
        self.assertIn("in i-1 i-1 CI_MISSING_JINJA_VAR/none", log)
        self.assertIn("Could not render jinja template variables: 'none'", log)
        text = "## template: jinja\n#cloud-config\nruncmd:\n{% for n in range(2) %}\n- echo {{ region or 'nowhere' }} {{ n }}\n{% endfor %}\n"
        self.assertIn("nowhere 0\nnowhere 1\n", self.trial.boot(text, instance="i-2"))
        log = self.trial.boot("## template: jinja\n#cloud-config\nruncmd: [echo {% if x %}]\n", instance="i-3")
        self.assertIn("the template cannot be filled", log)

    def test_a_part_that_cannot_be_read_does_not_keep_the_others_from_running(self):
        damaged = bytearray(gzip.compress(b"#!/bin/sh\n" + os.urandom(64)))
        damaged[10] |= 7  # a block of a kind there is none of
        packed = base64.b64encode(damaged).decode()
        log = self.trial.boot(mime(
            ("text/jinja2", "## template: jinja\n#!/bin/sh\necho {{ 1 // 0 }}"),
            ("text/x-shellscript\nContent-Transfer-Encoding: base64", packed),
            ("text/x-include-url", "http://127.0.0.1:9/no address"),
            ("text/x-shellscript", "#!/bin/sh\necho still runs"),
        ))
        self.assertIn("still runs\n", log)
        self.assertIn("the template cannot be filled: integer division or modulo by zero; ignored", log)
        self.assertIn("user data part is not valid gzip: ", log)
        self.assertIn("cannot include http://127.0.0.1:9/no address: InvalidURL: ", log)
        self.assertIn("user data is not valid gzip: ", self.trial.boot(bytes(damaged), instance="i-2"))

    def test_package_sources(self):
        self.trial.boot("""#cloud-config
apt:
  conf: 'Acquire::Retries "3";'
  http_proxy: http://proxy:3128
  sources:
    tool.list:
      source: deb https://example.org/debian stable main
      key: KEY
""")
        self.assertEqual(
            "deb [signed-by=/etc/apt/cloud-init.gpg.d/tool.asc] https://example.org/debian stable main\n",
            self.trial.read("etc/apt/sources.list.d/tool.list"))
        self.assertEqual("KEY", self.trial.read("etc/apt/cloud-init.gpg.d/tool.asc"))
        self.assertIn("http::Proxy", self.trial.read("etc/apt/apt.conf.d/90cloud-init-aptproxy"))
        self.assertIn("Retries", self.trial.read("etc/apt/apt.conf.d/94cloud-init-config"))

    def test_what_belongs_to_the_host_is_told_and_no_error(self):
        log = self.trial.boot("#cloud-config\nswap: {filename: /swap, size: 1G}\nntp: {enabled: true}\ngrowpart: {mode: auto}\n")
        self.assertIn("'swap' has no effect: an instance shares the host's memory", log)
        self.assertIn("'ntp' has no effect: the clock is the host's", log)
        self.assertNotIn("growpart", log)
        self.assertEqual("done", self.status()["status"])

    def test_power_state(self):
        from userdata import system

        self.trial.boot()
        ends = lambda **state: system.power_state(self.trial.machine, {"power_state": state})
        self.assertEqual(["systemctl", "--no-block", "reboot"], ends(mode="reboot"))
        self.assertEqual(["shutdown", "--poweroff", "+5", "bye"], ends(mode="poweroff", delay=5, message="bye"))
        self.assertIsNone(ends(mode="halt", condition=False))
        for wrong in ({"mode": "sleep"}, {"mode": "halt", "delay": "soon"}):
            with self.assertRaises(ValueError):
                ends(**wrong)


class Metadata(unittest.TestCase):
    def test_gives_up_after_its_patience(self):
        now = [0.0]
        client = imds.Metadata(("127.0.0.1", 9), timeout=0.2)
        with self.assertRaises(imds.Unreachable):
            client.wait(clock=lambda: now[0], sleep=lambda pause: now.__setitem__(0, now[0] + pause))
        self.assertGreaterEqual(now[0], imds.PATIENCE)

    def test_incomplete_answers_are_tried_again(self):
        for answer in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", b"HTTP/1.1 503 x\r\n\r\n"):
            with self.assertRaises(imds.Unreachable):
                imds.parse(answer)

    def test_include_refuses_other_schemes(self):
        with self.assertRaises(ValueError):
            boot.fetch("file:///etc/shadow")
