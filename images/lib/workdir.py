"""Building in a directory that nobody else sees until it is complete.

A build may be interrupted at any moment, by SIGKILL too. So it works under a name starting with
`.building-`, and the result appears by one rename. The next build takes the cache's lock and removes
what an interrupted one left: it cannot be in use, for its builder or a program that one had started
would hold the lock.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time

PREFIX = ".building-"
inherited = []  # descriptors for the programs that a build runs: the lock lasts until they have ended


@contextlib.contextmanager
def locked(cache):
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(cache, ".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build uses this cache; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for name in os.listdir(cache):
            if name.startswith(PREFIX):
                say("removing what an interrupted build left")
                remove(os.path.join(cache, name))
        inherited.append(lock.fileno())
        try:
            yield
        finally:
            inherited.remove(lock.fileno())


@contextlib.contextmanager
def building(cache):
    path = tempfile.mkdtemp(prefix=PREFIX, dir=cache)
    try:
        yield path
    finally:
        if os.path.exists(path):
            remove(path)


def remove(path):
    if os.path.ismount(path):
        raise OSError(f"{path} is a mount point: unmount it first")
    shutil.rmtree(path)


def publish(built, target):
    """Makes a finished directory appear as `target`, in one step and durable before it is seen."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    subprocess.run(["sync", "-f", built], check=True)
    os.chmod(built, 0o755)
    if os.path.exists(target):
        aside = tempfile.mkdtemp(prefix=PREFIX, dir=os.path.dirname(built))
        os.rename(target, os.path.join(aside, "old"))
        os.rename(built, target)
        remove(aside)
    else:
        os.rename(built, target)


def point(link, name):
    """Sets the symlink `link` to `name` without a moment in which it is missing."""
    temporary = f"{link}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    os.symlink(name, temporary)
    os.rename(temporary, link)


START = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - START:4.0f}s] {text}", file=sys.stderr, flush=True)


def need_disk(path, megabytes):
    free = shutil.disk_usage(path).free // 1_000_000
    if free < megabytes:
        raise SystemExit(f"{path}: {megabytes} MB needed, {free} MB free")


def size_of(path):
    """Bytes on disk below a directory."""
    return int(subprocess.run(["du", "-sk", path], capture_output=True, text=True, check=True).stdout.split()[0]) * 1024
