"""What a script of this folder expected and did not get: collected, so that one run tells of all."""

from strict import code_of

failures = []


def check(what, got, expected):
    if got != expected:
        failures.append(f"{what}: got {got!r}, expected {expected!r}")


def refused(*cases):
    """Each a call, its arguments, and the code of the error it shall end in."""
    for call, arguments, code in cases:
        check(f"{call.__name__} {arguments}", code_of(call, **arguments), code)
