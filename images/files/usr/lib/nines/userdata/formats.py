"""From the bytes of user data to its parts: gzip, MIME archives, includes, and the kind of each part."""

import re
from collections import namedtuple

from . import yaml

SCRIPT, CONFIG, BOOTHOOK, INCLUDE = "script", "cloud-config", "boothook", "include"
# Scripts that are put where those of their period lie: `per-boot`, `per-instance`, `per-once`.
PERIODS = ("per-boot", "per-instance", "per-once")
TEMPLATE = "jinja template"
UNKNOWN = "unknown"

# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html and cloud-init's own list.
STARTS = [
    (b"#!", SCRIPT),
    (b"#cloud-config-archive", "cloud-config-archive"),
    (b"#cloud-config-jsonp", "cloud-config-jsonp"),
    (b"#cloud-config", CONFIG),
    (b"#cloud-boothook", BOOTHOOK),
    (b"#include", INCLUDE),
    (b"#part-handler", "part-handler"),
    (b"#upstart-job", "upstart-job"),
    (b"## template: jinja", TEMPLATE),
]
MIME_TYPES = {
    "text/x-shellscript": SCRIPT,
    **{f"text/x-shellscript-{period}": period for period in PERIODS},
    "text/cloud-config": CONFIG,
    "text/cloud-boothook": BOOTHOOK,
    "text/x-include-url": INCLUDE,
    "text/x-include-once-url": INCLUDE,
    "text/part-handler": "part-handler",
    "text/upstart-job": "upstart-job",
    "text/cloud-config-archive": "cloud-config-archive",
    "text/cloud-config-jsonp": "cloud-config-jsonp",
    "text/jinja2": TEMPLATE,
}
MIME = re.compile(rb"^(mime-version|content-type):", re.IGNORECASE | re.MULTILINE)
DEPTH = 8  # archives in archives, includes of includes


# Of kind and name, which are texts, and content, which is bytes. A dataclass would take as long to import as all else.
# `merge` is how it joins what came before, where its header says so.
Part = namedtuple("Part", "kind name content merge", defaults=(None,))


def split(data, fetch, warn, fill=None):
    """All parts in order. `fetch(url, once)` gives bytes, of the first boot if `once`; `warn(text)` takes what had to be
    left out; `fill(text)` gives the text that a template makes."""
    parts = []
    walk(data, None, None, fetch, warn, parts, 0)
    return [part for part in (filled(part, warn, fill) for part in parts) if part]


def filled(part, warn, fill):
    """A template is of the kind that its second line tells."""
    if part.kind != TEMPLATE or fill is None:
        return part
    text = part.content.decode("utf-8", "replace").lstrip()
    if text.lower().startswith("## template"):
        text = text.partition("\n")[2]
    try:
        content = fill(text).encode()
    except ValueError as error:
        return warn(f"user data {part.name}: {error}; ignored")
    return Part(kind_of(content), part.name, content, part.merge)


def walk(data, kind, name, fetch, warn, parts, depth, merge=None):
    if depth > DEPTH:
        return warn("user data is nested too deeply; the rest is ignored")
    if data[:2] == b"\x1f\x8b":
        try:
            data = unpacked(data)
        except ValueError as error:
            return warn(f"user data is {error}")
        return walk(data, kind, name, fetch, warn, parts, depth + 1, merge)
    if not data.strip():
        return None
    if kind is None and is_mime(data):
        return walk_mime(data, fetch, warn, parts, depth)

    kind = kind or kind_of(data)
    if kind == SCRIPT and kind_of(data) != UNKNOWN:
        kind = kind_of(data)  # much is sent as a script that is none
    if kind == INCLUDE:
        once = False
        for line in data.decode("utf-8", "replace").splitlines():
            if line.startswith("#include"):
                once = line.startswith("#include-once")
            url = re.sub(r"^#include(-once)?", "", line).strip()
            if url and not url.startswith("#"):
                try:
                    included = fetch(url, once)
                except (OSError, ValueError) as error:
                    warn(f"cannot include {url}: {error}")
                    continue
                walk(included, None, None, fetch, warn, parts, depth + 1)
    elif kind == "cloud-config-archive":
        walk_archive(data, fetch, warn, parts, depth)
    else:
        parts.append(Part(kind, safe(name) or f"part-{len(parts) + 1:03}", data, merge))
    return None


def unpacked(data):
    import gzip  # both are as slow to import as what follows
    import zlib

    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"not valid gzip: {error}") from error


def kind_of(data):
    """Of the first line that is not empty, in letters of either size."""
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((kind for line, kind in STARTS if start.startswith(line)), UNKNOWN)


def is_mime(data):
    """A header near the start makes an archive, unless the first line already names a kind."""
    return kind_of(data) == UNKNOWN and MIME.search(data[:4096]) is not None


def walk_mime(data, fetch, warn, parts, depth):
    import email  # slow to import, and few user data are archives

    message = email.message_from_bytes(data.lstrip())
    for entry in message.walk():
        if entry.is_multipart():
            continue
        content = entry.get_payload(decode=True) or b""
        if content.startswith(b"\x1f\x8b"):
            try:
                content = unpacked(content)
            except ValueError as error:
                warn(f"user data {entry.get_filename() or 'part'} is {error}; ignored")
                continue
        # A part of a general type is taken for what its first line says.
        kind, merge = MIME_TYPES.get(entry.get_content_type()), entry["Merge-Type"] or entry["X-Merge-Type"]
        walk(content, kind, entry.get_filename(), fetch, warn, parts, depth + 1, merge)


def walk_archive(data, fetch, warn, parts, depth):
    reader = yaml()
    try:
        entries = reader.safe_load(data)
    except (reader.YAMLError, ValueError) as error:
        return warn(f"the cloud-config-archive is not valid YAML: {error}")
    for entry in entries if isinstance(entries, list) else []:
        entry = entry if isinstance(entry, dict) else {"content": entry}
        content = entry.get("content", "")
        content = content if isinstance(content, bytes) else str(content).encode()
        kind = MIME_TYPES.get(str(entry.get("type")))
        if not entry.get("type") and kind_of(content) == UNKNOWN:
            kind = CONFIG
        walk(content, kind, entry.get("filename"), fetch, warn, parts, depth + 1, entry.get("Merge-Type") or entry.get("X-Merge-Type"))
    return None


def safe(name):
    """A part's file name, which must stay in its directory."""
    return str(name).replace("/", "_").lstrip(".") if name else None


def script_text(content):
    """Line ends as the kernel's `#!` handling needs them."""
    content = content.lstrip(b"\xef\xbb\xbf")
    return content.replace(b"\r\n", b"\n") if b"\r\n" in content.split(b"\n", 1)[0] + b"\n" else content
