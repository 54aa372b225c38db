"""Uses CPU for a while, to see the group scale.

The work runs outside Python's global lock, so that a worker still answers its health checks, and at
most a few run at a time per worker, so that threads are left to do so.
"""

import hashlib
import threading
import time

_slots = threading.BoundedSemaphore(4)
ROUNDS = 20_000  # about 10 ms


def try_burn(seconds):
    """Burns one core for `seconds`; False if too many do so already."""
    if not _slots.acquire(blocking=False):
        return False
    try:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            hashlib.pbkdf2_hmac("sha256", b"burn", b"salt", ROUNDS)
        return True
    finally:
        _slots.release()
