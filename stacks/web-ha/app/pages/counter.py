"""Requests served by this container, over all its worker processes.

A counter in shared memory, made before gunicorn forks. The instance id makes it unique in the fleet;
it starts anew with the container, for the tier keeps no state.
"""

import multiprocessing
import time

STARTED = time.time()
_served = multiprocessing.Value("Q", 0)


def increment():
    with _served.get_lock():
        _served.value += 1


def value():
    return _served.value


def answers_within(seconds):
    """Whether the lock is to be had: a worker that died holding it would hang every request."""
    lock = _served.get_lock()
    if not lock.acquire(timeout=seconds):
        return False
    lock.release()
    return True
