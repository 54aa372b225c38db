"""Runs EC2 user data with cloud-init's meaning and in cloud-init's places.

Not cloud-init itself: on a machine that runs dozens of instances its start costs several seconds of
CPU each, and in a container it never asks for an IMDSv2 token. An AMI with the real one works too.
"""

VERSION = "1-nines"
