"""OCI image layouts: layers from directories, and the manifest that ties them together.

https://github.com/opencontainers/image-spec, as far as a pull needs it. Equal input gives equal bytes:
entries sorted, times fixed, so that an unchanged layer keeps its digest and is not pulled again.
"""

import contextlib
import gzip
import hashlib
import json
import os
import tarfile
import tempfile

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
TAG = "org.opencontainers.image.ref.name"


class Digesting:
    """A file that knows the digest of what was written to it."""

    def __init__(self, file):
        self.file, self.digest, self.size = file, hashlib.sha256(), 0

    def write(self, data):
        self.digest.update(data)
        self.size += len(data)
        return self.file.write(data)

    def flush(self):
        self.file.flush()

    def name(self):
        return f"sha256:{self.digest.hexdigest()}"


def write_layer(entries, path):
    """Packs (name in the image, file on disk, owner or None to keep it); returns the layer's description."""
    with open(path, "wb") as file:
        packed = Digesting(file)
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=packed, mtime=0) as compressor:
            plain = Digesting(compressor)
            with tarfile.open(fileobj=plain, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                for name, source, owner in sorted(entries):
                    add(tar, name, source, owner)
    return {"digest": packed.name(), "diff_id": plain.name(), "size": packed.size}


def add(tar, name, source, owner):
    info = tar.gettarinfo(source, arcname=name)
    if info is None or not (info.isfile() or info.isdir() or info.issym() or info.islnk()):
        return  # sockets and device nodes have no place in an image
    if info.islnk():
        # tarfile links to names on disk seen before; a copy is simpler and as good here.
        info.type, info.size = tarfile.REGTYPE, os.path.getsize(source)
    info.mtime, info.uname, info.gname = 0, "", ""
    if owner is not None:
        info.uid = info.gid = owner
        # From a working copy, whose modes follow somebody's umask.
        info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
    if info.isfile():
        with open(source, "rb") as file:
            tar.addfile(info, file)
    else:
        tar.addfile(info)


def tree(root, prefix="", owner=None, skip=lambda name: False):
    """The entries of everything below a directory, for `write_layer`."""
    for directory, subdirectories, names in os.walk(root):
        for name in list(subdirectories):
            if skip(os.path.relpath(os.path.join(directory, name), root)):
                subdirectories.remove(name)
        for name in subdirectories + names:
            source = os.path.join(directory, name)
            relative = os.path.relpath(source, root)
            if not skip(relative):
                yield os.path.join(prefix, relative), source, owner


class Layout:
    """A layout directory that several tags may share. Every change of it is one rename."""

    def __init__(self, path):
        self.path = path
        os.makedirs(os.path.join(path, "blobs/sha256"), exist_ok=True)
        self.replace("oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())

    def replace(self, name, content):
        with tempfile.NamedTemporaryFile(dir=self.path, prefix=".new-", delete=False) as file:
            file.write(content)
        os.chmod(file.name, 0o644)
        os.rename(file.name, os.path.join(self.path, name))

    def blob(self, content):
        digest = hashlib.sha256(content).hexdigest()
        self.replace(f"blobs/sha256/{digest}", content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    def layer_blob(self, layer, source):
        target = os.path.join(self.path, "blobs/sha256", layer["digest"].removeprefix("sha256:"))
        if os.path.exists(target):
            return
        temporary = os.path.join(self.path, f".new-{os.path.basename(target)}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        try:
            os.link(source, temporary)
        except OSError:  # another file system
            with open(source, "rb") as file, open(temporary, "wb") as copy:
                while block := file.read(1 << 20):
                    copy.write(block)
        os.rename(temporary, target)

    def tags(self):
        try:
            with open(os.path.join(self.path, "index.json")) as file:
                return {entry["annotations"][TAG]: entry for entry in json.load(file)["manifests"]}
        except FileNotFoundError:
            return {}

    def tag(self, names, architecture, config, layers):
        """Writes config and manifest and lets the tags point at them; returns the manifest's digest."""
        config = config | {"rootfs": {"type": "layers", "diff_ids": [layer["diff_id"] for layer in layers]}}
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG} | self.blob(compact(config)),
            "layers": [{"mediaType": LAYER, "digest": layer["digest"], "size": layer["size"]} for layer in layers],
        }
        written = {"mediaType": MANIFEST} | self.blob(compact(manifest))
        written["platform"] = {"architecture": architecture, "os": "linux"}
        entries = self.tags() | {name: written | {"annotations": {TAG: name}} for name in names}
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entries[name] for name in sorted(entries)]}
        self.replace("index.json", json.dumps(index, indent=1).encode() + b"\n")
        self.sweep(entries.values())
        return written["digest"]

    def sweep(self, entries):
        """Removes blobs that no tag leads to, and what an interrupted run left."""
        used = set()
        for entry in entries:
            used.add(entry["digest"])
            with open(os.path.join(self.path, "blobs/sha256", entry["digest"].removeprefix("sha256:"))) as file:
                manifest = json.load(file)
            used |= {part["digest"] for part in [manifest["config"], *manifest["layers"]]}
        blobs = os.path.join(self.path, "blobs/sha256")
        for name in os.listdir(blobs):
            if f"sha256:{name}" not in used:
                os.unlink(os.path.join(blobs, name))
        for name in os.listdir(self.path):
            if name.startswith(".new-"):
                os.unlink(os.path.join(self.path, name))


def compact(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
