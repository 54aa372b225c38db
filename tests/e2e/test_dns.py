"""Route 53: names that instances resolve and the internet's name server answers, and fail over."""

import socket
import struct

import pytest

from conftest import eventually
from test_public_stacks import applied, destroyed, stack  # noqa: F401 - a fixture

ACCOUNT, REGION = "333300000006", "eu-west-1"
# The addresses of a name, or the C library's number for why there are none.
RESOLVE = """
import socket, sys
try:
    print(*sorted(a[4][0] for a in socket.getaddrinfo(sys.argv[1], 80, socket.AF_INET, socket.SOCK_STREAM)))
except socket.gaierror as error:
    print(error.errno)
"""


def ask(server, name):
    """The IPv4 addresses of a name by a name server, whose word it must be, and the code of the answer."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(3)
        asking.sendto(struct.pack(">6H", 7, 0, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1), (server, 53))
        answer = asking.recv(4096)
    _, flags, _, count, _, _ = struct.unpack(">6H", answer[:12])
    at, found = 12 + len(labels) + 5, []
    for _ in range(count):
        # Every name of an answer points back to the question's.
        kind, _, _, length = struct.unpack(">2HIH", answer[at + 2 : at + 12])
        found += [socket.inet_ntoa(answer[at + 12 : at + 12 + length])] if kind == 1 else []
        at += 12 + length
    return found, flags & 15, bool(flags & 0x400)


@pytest.mark.parametrize("stack", [("dns", ACCOUNT)], indirect=True)
def test_names_lead_to_the_site_that_is_well(stack):  # noqa: F811
    applied(stack)
    cloud, (first, second) = stack.cloud, stack.output("instances")
    public, private = stack.output("public"), stack.output("private")
    route53 = stack.client("route53", "us-east-1")
    server = route53.get_checker_ip_ranges()["CheckerIpRanges"][0].split("/")[0]
    status = lambda: route53.get_health_check_status(HealthCheckId=stack.output("health_check"))["HealthCheckObservations"][0]["StatusReport"]["Status"]
    eventually(lambda: status() == "Success: HTTP Status Code 200, OK", "the first site is well")

    def resolved(name, on=second):
        return cloud.shell(on, "python3", "-c", RESOLVE, name).split()

    # By the VPC's resolver: a private zone, a CNAME out of it, an alias.
    assert resolved("db.corp.internal") == [private[1]]
    assert resolved("shop.corp.internal") == resolved("shop.example") == [public[0]]
    assert resolved("nothing.corp.internal") == ["-2"], "there is no such name"
    # By the name server, as the internet sees it.
    assert ask(server, "www.shop.example") == ([public[0]], 0, True)
    assert ask(server, "nothing.there.shop.example") == ([], 0, True), "a wildcard without addresses"
    assert ask(server, "db.corp.internal") == ([], 5, False), "private zones are nobody's business"
    certificate = stack.client("acm", REGION).describe_certificate(CertificateArn=stack.output("certificate"))["Certificate"]
    assert certificate["Status"] == "ISSUED"

    cloud.shell(first, "systemctl", "stop", "site")
    eventually(lambda: ask(server, "www.shop.example")[0] == [public[1]], "the name leads to the second site")
    assert status().startswith(f"Failure: connect to {public[0]}:80: ")
    eventually(lambda: resolved("shop.example") == resolved("shop.corp.internal") == [public[1]], "and so it does in the VPC")
    cloud.shell(first, "systemd-run", "--unit=site", "python3", "-m", "http.server", "80", "--directory", "/srv/site")
    eventually(lambda: ask(server, "shop.example")[0] == [public[0]], "and back")
    cloud.shell(first, "rm", "/srv/site/health")
    eventually(lambda: ask(server, "shop.example")[0] == [public[1]], "a page that is not found is a failure, too")
    destroyed(stack, REGION)
    assert route53.list_hosted_zones()["HostedZones"] == route53.list_health_checks()["HealthChecks"] == []
