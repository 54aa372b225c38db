"""A root file system from packages of Debian or Ubuntu, by mmdebstrap.

mmdebstrap over debootstrap: three times as fast, takes security and updates archives in the same
pass, and knows dpkg's path filters. It runs in mount and PID namespaces of its own that end with this
process, so that an interrupted build leaves neither mounts nor processes, however it ends.
"""

import os
import shutil
import signal
import subprocess
import sys

from . import mirror, openpgp, workdir
from .recipe import IMAGES
from .workdir import say

# Documentation and translations: half of a small root. Copyright files stay, as their licences ask.
EXCLUDED = [
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/lintian/*",
]

STEPS = {
    "I: running apt-get update": "reading the package lists",
    "I: downloading packages": "downloading packages",
    "I: extracting archives": "unpacking the essential packages",
    "I: installing essential": "installing the essential packages",
    "I: installing remaining": "installing everything else",
    "I: cleaning package": "cleaning up",
}

SOURCES = """\
Types: deb
URIs: {archive}
Suites: {suite} {suite}-updates
Components: {components}
Signed-By: /usr/share/keyrings/{distribution}-archive-keyring.gpg

Types: deb
URIs: {security}
Suites: {suite}-security
Components: {components}
Signed-By: /usr/share/keyrings/{distribution}-archive-keyring.gpg
"""


def checked_keyring(recipe):
    """The key file's path, after making sure that it holds exactly the keys the recipe names."""
    path = os.path.join(IMAGES, recipe["keyring"])
    with open(path, "rb") as file:
        found = set(openpgp.fingerprints(file.read()))
    if found != set(recipe["fingerprints"]):
        raise SystemExit(f"{recipe['keyring']} holds {sorted(found)}, the recipe trusts {recipe['fingerprints']}")
    return path


def require(program, package):
    if not shutil.which(program):
        raise SystemExit(f"{program} is missing: apt-get install {package}")


def debian(recipe, rootfs):
    """Fills `rootfs`, which must not exist, with the recipe's packages."""
    if os.geteuid() != 0:
        raise SystemExit("building an image needs root: its files belong to many users")
    require("mmdebstrap", "mmdebstrap")
    keyring = checked_keyring(recipe)
    distribution = recipe.get("distribution", "debian")
    archive, security = mirror.of_host(distribution)
    command = [
        "setpriv", "--pdeathsig", "KILL",
        "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
        "mmdebstrap", "--mode=root", f"--variant={recipe.get('variant', 'minbase')}", "--format=directory",
        f"--keyring={keyring}", f"--include={','.join(recipe['packages'])}",
        "--aptopt=Acquire::Languages \"none\"",
        *(f"--dpkgopt={line}" for line in EXCLUDED),
        recipe["suite"], rootfs, *mirror.sources(archive, security, recipe["suite"], distribution),
    ]
    run(command, os.environ | mirror.proxy_environment() | {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"})


def public_sources(recipe, rootfs):
    """The mirror and key paths of the building host mean nothing to those who use the image."""
    distribution = recipe.get("distribution", "debian")
    (_, archive), (_, security), components = mirror.DISTRIBUTIONS[distribution]
    os.unlink(os.path.join(rootfs, "etc/apt/sources.list"))
    with open(os.path.join(rootfs, f"etc/apt/sources.list.d/{distribution}.sources"), "w") as file:
        file.write(SOURCES.format(archive=archive, security=security, suite=recipe["suite"], components=components, distribution=distribution))


def run(command, environment):
    """Runs mmdebstrap, tells its steps in our words, and shows its last lines when it fails."""
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True, pass_fds=workdir.inherited,
    )
    last = []
    try:
        for line in process.stdout:
            last = (last + [line.rstrip()])[-25:]
            for start, words in STEPS.items():
                if line.startswith(start):
                    say(words)
        failed = process.wait()
    except BaseException:
        # The whole tree is in the PID namespace of `unshare`, which takes it along.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if failed:
        print("\n".join(last), file=sys.stderr)
        raise SystemExit("mmdebstrap failed; its last lines are above")
