import hashlib
import os
import subprocess
import tarfile
import tempfile
import unittest

from . import IMAGES
from lib import bootstrap, mirror, oci, openpgp, recipe, workdir


class Keys(unittest.TestCase):
    def test_recipe_names_the_keys_of_its_file(self):
        bootstrap.checked_keyring(recipe.load("debian-12"))

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
