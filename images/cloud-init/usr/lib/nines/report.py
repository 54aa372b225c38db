"""Tells the cloud that user data failed, by the socket that systemd reports its readiness to.

cloud-init leaves what went wrong in `/run/cloud-init/result.json` when its last stage ends
(https://cloudinit.readthedocs.io/en/latest/explanation/return_codes.html); its own reporting knows logs and
web hooks only.
"""

import contextlib
import json
import socket

RESULT = "/run/cloud-init/result.json"
NOTIFY = "/run/host/notify"


def failure(path=RESULT):
    """The first error, in one line; None if there was none."""
    try:
        with open(path) as file:
            errors = json.load(file)["v1"]["errors"]
    except (OSError, ValueError, KeyError) as error:
        return f"cloud-init left no result: {error}"
    return " ".join(str(errors[0]).split()) if errors else None


def tell(reason, path=NOTIFY):
    # On a host that has no such socket nobody asks.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect(path)
        notify.send(f"X_NINES_USER_DATA_FAILED={reason}".encode()[:500])


if __name__ == "__main__":
    reason = failure()
    if reason:
        tell(reason)
