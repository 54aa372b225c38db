"""Who this instance is, from the instance metadata service, version 2 only.

Asked once and kept, as none of it changes while an instance lives. From inside a container the
answer to the token request needs a hop limit of 2 in the launch template. Pages work without it: a
failure is remembered for a short while, so that a missing service does not slow down every request.
"""

import logging
import threading
import time
import urllib.error
import urllib.request

from django.conf import settings

log = logging.getLogger(__name__)

FIELDS = {
    "instance_id": "instance-id",
    "availability_zone": "placement/availability-zone",
    "private_address": "local-ipv4",
    "instance_type": "instance-type",
    "ami_id": "ami-id",
}
TIMEOUT = 1  # seconds; the service is on the same machine
RETRY_AFTER = 30

_lock = threading.Lock()
_known = None
_failed_at = None


def identity():
    """A dict with every key of FIELDS; a value is None where the service has none or is not reached."""
    global _known, _failed_at
    if _known:
        return _known
    with _lock:
        if _known:
            return _known
        if _failed_at is None or time.monotonic() - _failed_at > RETRY_AFTER:
            try:
                _known = ask()
                return _known
            except (OSError, ValueError) as error:
                log.warning("instance metadata is not available: %s", error)
                _failed_at = time.monotonic()
    return dict.fromkeys(FIELDS)


def forget():
    """For tests."""
    global _known, _failed_at
    _known = _failed_at = None


def ask():
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = fetch("PUT", "api/token", headers)
    return {key: fetch("GET", f"meta-data/{path}", {"X-aws-ec2-metadata-token": token}) for key, path in FIELDS.items()}


def fetch(method, path, headers):
    request = urllib.request.Request(f"{settings.METADATA_URL}/latest/{path}", method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return response.read().decode("utf-8")
    except urllib.error.HTTPError as error:
        if method == "GET" and error.code == 404:
            return None  # this instance has no such value
        raise
