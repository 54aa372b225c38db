"""Runs EC2 user data with cloud-init's meaning and in cloud-init's places.

Not cloud-init itself: on a machine that runs dozens of instances its start costs several seconds of
CPU each, and in a container it never asks for an IMDSv2 token. An AMI with the real one works too.
"""

import sys

VERSION = "1-nines"


def yaml():
    """PyYAML, where there is something to read with it: importing it is half of a plain boot's CPU."""
    packages()
    import yaml as module

    return module


def packages():
    """Makes known where the distribution's modules are, before one of them is imported: the others are Python's own."""
    if sys.flags.no_site:
        import site

        site.main()
