import os
import subprocess
import tempfile
import unittest

from . import IMAGES
from lib import bootstrap, mirror, openpgp, recipe, workdir


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
