"""Fingerprints of the certificates in an OpenPGP key file.

The archive keys lie beside the recipes, so that a host needs no Debian keyring (old Ubuntu releases
carry one that is too old for Debian 12). A recipe names the fingerprints it trusts; the build
refuses a key file that holds anything else. Reading them takes a page of code, and thereby no gpg
with its home directory and agent on the host.
"""

import base64
import hashlib

PUBLIC_KEY = 6


def dearmor(data):
    """The binary packets of an ASCII-armored or already binary key file."""
    if not data.lstrip().startswith(b"-----BEGIN PGP"):
        return data
    body, inside = [], False
    for line in data.decode("ascii").splitlines():
        if line.startswith("-----BEGIN"):
            inside = False
        elif line.startswith("-----END"):
            break
        elif not line.strip():
            inside = True
        elif inside and not line.startswith("="):
            body.append(line.strip())
    return base64.b64decode("".join(body), validate=True)


def packets(data):
    """Yields (tag, body); RFC 4880 section 4.2, without partial lengths, which keys never use."""
    at = 0
    while at < len(data):
        head = data[at]
        at += 1
        if not head & 0x80:
            raise ValueError("not an OpenPGP packet")
        if head & 0x40:
            tag, first = head & 0x3F, data[at]
            if first < 192:
                size, at = first, at + 1
            elif first < 224:
                size, at = ((first - 192) << 8) + data[at + 1] + 192, at + 2
            elif first == 255:
                size, at = int.from_bytes(data[at + 1 : at + 5], "big"), at + 5
            else:
                raise ValueError("partial packet lengths are not supported")
        else:
            tag, width = (head >> 2) & 0x0F, 1 << (head & 3)
            if width == 8:
                raise ValueError("packets of open length are not supported")
            size, at = int.from_bytes(data[at : at + width], "big"), at + width
        body = data[at : at + size]
        if len(body) != size:
            raise ValueError("truncated key file")
        yield tag, body
        at += size


def fingerprints(data):
    """Primary-key fingerprints, upper-case hex, in file order."""
    found = []
    for tag, body in packets(dearmor(data)):
        if tag == PUBLIC_KEY:
            if body[:1] != b"\x04":
                raise ValueError("only version 4 keys are supported")
            framed = b"\x99" + len(body).to_bytes(2, "big") + body
            found.append(hashlib.sha1(framed).hexdigest().upper())
    return found
