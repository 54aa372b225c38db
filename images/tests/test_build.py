import bz2
import gzip
import hashlib
import lzma
import os
import subprocess
import tarfile
import tempfile
import unittest

from . import IMAGES
from lib import bootstrap, family, foreign, mirror, oci, openpgp, recipe, workdir


class Keys(unittest.TestCase):
    def test_recipe_names_the_keys_of_its_file(self):
        for name in recipe.names():
            loaded = recipe.load(name)
            if "pull" not in loaded:
                bootstrap.checked_keyring(loaded)

    def test_a_key_the_recipe_does_not_name_is_refused(self):
        changed = recipe.load("debian-12")
        changed["fingerprints"].pop()
        with self.assertRaises(SystemExit):
            bootstrap.checked_keyring(changed)

    def test_damaged_files(self):
        for data in (b"\x00", b"\xc6", b"\xc6\x40\x01", b"\x99\xff\xff\x04", b"\xc6\xe0"):
            with self.assertRaises((ValueError, IndexError)):
                openpgp.fingerprints(data)


class Recipes(unittest.TestCase):
    def test_base_lists_are_extended(self):
        plain, docker = recipe.load("debian-12"), recipe.load("debian-12-docker")
        self.assertEqual([*plain["packages"], "docker.io"], docker["packages"])
        self.assertNotEqual(recipe.digest(plain), recipe.digest(docker))

    def test_digest_follows_contents_and_modes(self):
        with tempfile.TemporaryDirectory() as tree:
            path = os.path.join(tree, "file")
            seen = set()
            for text, mode in (("a", 0o644), ("b", 0o644), ("b", 0o755)):
                with open(path, "w") as file:
                    file.write(text)
                os.chmod(path, mode)
                seen.add(recipe.digest({}, tree))
            self.assertEqual(3, len(seen))

    def test_unknown_recipe(self):
        with self.assertRaises(SystemExit):
            recipe.load("debian-1")


class Mirror(unittest.TestCase):
    def test_choice(self):
        public = (mirror.ARCHIVE, mirror.SECURITY)
        for lines, expected in (
            ("", public),
            ("http://archive.ubuntu.com/ubuntu/ Ubuntu\n", public),
            ("cdrom://x Debian\n", public),
            ("http://near/debian/ Debian\n", ("http://near/debian", mirror.SECURITY)),
            ("http://near/s/ Debian-Security\nhttp://near/debian Debian\n", ("http://near/debian", "http://near/s")),
        ):
            self.assertEqual(expected, mirror.choose(lines))


    def test_other_distributions_have_archives_of_their_own(self):
        lines = "http://near/debian/ Debian\nhttp://near/ubuntu/ Ubuntu\n"
        self.assertEqual(("http://near/ubuntu", "http://security.ubuntu.com/ubuntu"), mirror.choose(lines, "ubuntu"))
        self.assertEqual("deb a noble main universe", mirror.sources("a", "s", "noble", "ubuntu")[0])


class Foreign(unittest.TestCase):
    def root(self, directory, *names, release="ID=debian\n"):
        root = os.path.join(directory, "root")
        for name in names:
            os.makedirs(os.path.join(root, os.path.dirname(name)), exist_ok=True)
            with open(os.path.join(root, name), "w"):
                pass
        os.makedirs(os.path.join(root, "etc"), exist_ok=True)
        with open(os.path.join(root, "etc/os-release"), "w") as file:
            file.write(release)
        return root

    def test_names(self):
        for reference, expected in (
            ("ubuntu:24.04", "ubuntu-24.04"),
            ("docker.io/library/debian", "debian"),
            ("localhost:5000/team/app:1@sha256:ab", "app-1"),
        ):
            self.assertEqual(expected, foreign.name_of(reference))
        for name in ("", "..", "a/b", "A", "-x"):
            self.assertRaises(SystemExit, foreign.checked_name, name)

    def test_what_a_root_lacks_is_said(self):
        systemd = ("sbin/init", "usr/lib/systemd/systemd")
        python = ("usr/bin/python3", "usr/lib/python3/dist-packages/yaml/__init__.py")
        for names, expected in (
            ((), ["an init", "python3", "sshd"]),
            (("sbin/init",), ["systemd", "python3", "sshd"]),
            ((*systemd, "usr/bin/python3"), ["python3-yaml", "sshd"]),
            ((*systemd, *python, "usr/sbin/sshd"), []),
        ):
            with tempfile.TemporaryDirectory() as directory:
                lacks = foreign.lacks(self.root(directory, *names))
                self.assertEqual(expected, [what.split(":")[0].split(" (")[0] for what in lacks])

    def test_family(self):
        for release, expected in (
            ("ID=ubuntu\nID_LIKE=debian\n", "ubuntu"),
            ('NAME="x y"\nID="linuxmint"\nID_LIKE="ubuntu debian"\n', "ubuntu"),
            ('ID="amzn"\nID_LIKE="fedora"\n', "amzn"),
            ("ID=alpine\n", None),
            ("", None),
        ):
            with tempfile.TemporaryDirectory() as directory:
                self.assertEqual(expected, family.of(self.root(directory, release=release)))

    def test_archives_of_layers_and_plain_ones_give_the_same_root(self):
        if os.geteuid() != 0:
            self.skipTest("unpacking keeps owners, which needs root")
        with tempfile.TemporaryDirectory() as directory:
            root = self.root(directory, "sbin/init", "gone")
            layer = oci.write_layer(oci.tree(root), os.path.join(directory, "layer"))
            os.unlink(os.path.join(root, "gone"))
            white = os.path.join(directory, "white")
            os.makedirs(white)
            with open(os.path.join(white, ".wh.gone"), "w"):
                pass
            above = oci.write_layer(oci.tree(white), os.path.join(directory, "above"))
            scratch = os.path.join(directory, "scratch")
            os.mkdir(scratch)
            layout = oci.Layout(os.path.join(directory, "packed"))
            layout.layer_blob(layer, os.path.join(directory, "layer"))
            layout.layer_blob(above, os.path.join(directory, "above"))
            layout.tag(["1"], "amd64", {"os": "linux"}, [layer, above])
            plain = os.path.join(directory, "plain.tar")
            subprocess.run(["tar", "-C", root, "-cf", plain, "."], check=True)
            packed = os.path.join(directory, "oci.tar")
            subprocess.run(["tar", "-C", layout.path, "-cf", packed, "."], check=True)
            saved = os.path.join(directory, "docker.tar")
            subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", f"oci:{layout.path}:1", f"docker-archive:{saved}:x:1"], check=True)
            for path, kind in ((plain, "rootfs"), (packed, "oci"), (saved, "docker")):
                self.assertEqual(kind, foreign.kind_of(path))
                unpacked = os.path.join(directory, f"of-{kind}")
                self.assertRegex(foreign.load(path, unpacked, scratch), "^[0-9a-f]{64}$")
                found = sorted(os.path.relpath(entry, unpacked) for entry in recipe.files(unpacked))
                self.assertEqual(["etc/os-release", "sbin/init"], found)
            with open(os.path.join(layout.path, "blobs", layer["digest"].replace(":", "/")), "r+b") as blob:
                blob.seek(20)
                blob.write(b"changed")
            subprocess.run(["tar", "-C", layout.path, "-cf", packed, "."], check=True)
            self.assertRaises(SystemExit, foreign.load, packed, os.path.join(directory, "damaged"), scratch)

    def test_what_is_no_archive(self):
        with tempfile.NamedTemporaryFile() as file:
            self.assertRaises(SystemExit, foreign.kind_of, file.name)
        self.assertRaises(SystemExit, foreign.kind_of, file.name)  # which is gone

    def test_a_damaged_stream(self):
        for packer in (gzip, lzma, bz2):
            packed = bytearray(packer.compress(os.urandom(1 << 16)))
            packed[len(packed) // 2 :] = bytes(len(packed) // 2)
            with self.subTest(packer.__name__), tempfile.NamedTemporaryFile() as file:
                file.write(packed)
                file.flush()
                self.assertRaises(SystemExit, foreign.kind_of, file.name)


class Workdir(unittest.TestCase):
    def test_leftovers_of_an_interrupted_build_go(self):
        with tempfile.TemporaryDirectory() as cache:
            os.makedirs(os.path.join(cache, workdir.PREFIX + "dead", "rootfs"))
            with workdir.locked(cache):
                self.assertEqual([".lock"], os.listdir(cache))

    def test_result_replaces_an_older_one_whole(self):
        with tempfile.TemporaryDirectory() as cache:
            target = os.path.join(cache, "x", "1")
            for text in ("old", "new"):
                with workdir.building(cache) as built:
                    with open(os.path.join(built, text), "w"):
                        pass
                    workdir.publish(built, target)
                self.assertEqual([text], os.listdir(target))
            self.assertEqual(["x"], os.listdir(cache))

    def test_link_is_replaced(self):
        with tempfile.TemporaryDirectory() as cache:
            link = os.path.join(cache, "current")
            for name in ("a", "b"):
                workdir.point(link, name)
            self.assertEqual("b", os.readlink(link))


class CloudInitPer(unittest.TestCase):
    def test_usage(self):
        done = subprocess.run(["sh", os.path.join(IMAGES, "files/usr/bin/cloud-init-per"), "once", "x"], capture_output=True)
        self.assertEqual(2, done.returncode)


class Oci(unittest.TestCase):
    def test_layers_are_reproducible_and_tags_share_blobs(self):
        with tempfile.TemporaryDirectory() as directory:
            tree = os.path.join(directory, "tree")
            os.makedirs(os.path.join(tree, "sub"))
            for name in ("b", "a", "sub/c"):
                with open(os.path.join(tree, name), "w") as file:
                    file.write(name)
            os.link(os.path.join(tree, "a"), os.path.join(tree, "hard"))
            os.symlink("a", os.path.join(tree, "soft"))
            layers = []
            for mask in (0o600, 0o644):
                os.chmod(os.path.join(tree, "b"), mask)
                os.utime(os.path.join(tree, "a"), (mask, mask))
                layers.append(oci.write_layer(oci.tree(tree, "app", 0), os.path.join(directory, "layer")))
            self.assertEqual(*layers)
            with tarfile.open(os.path.join(directory, "layer")) as tar:
                self.assertEqual(["app/a", "app/b", "app/hard", "app/soft", "app/sub", "app/sub/c"], tar.getnames())
                self.assertEqual(b"a", tar.extractfile("app/hard").read())

            layout = oci.Layout(os.path.join(directory, "layout"))
            layout.layer_blob(layers[0], os.path.join(directory, "layer"))
            layout.tag(["latest", "1"], "amd64", {"os": "linux"}, layers[:1])
            layout.tag(["latest"], "amd64", {"os": "linux", "changed": True}, layers[:1])
            self.assertEqual(["1", "latest"], sorted(layout.tags()))
            blobs = os.path.join(directory, "layout/blobs/sha256")
            self.assertEqual(5, len(os.listdir(blobs)))  # a layer, two configs, two manifests
            for name in os.listdir(blobs):
                with open(os.path.join(blobs, name), "rb") as file:
                    self.assertEqual(name, hashlib.sha256(file.read()).hexdigest())
            layout.tag(["1"], "amd64", {"os": "linux", "changed": True}, layers[:1])
            self.assertEqual(3, len(os.listdir(blobs)))
