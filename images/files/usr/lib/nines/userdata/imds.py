"""The instance metadata service, version 2 first.

HTTP/1.0 over a socket: the service is one hop away and answers small plain bodies, while importing
an HTTP client would cost more CPU than all the requests of a boot.
"""

import socket
import time

ADDRESS = ("169.254.169.254", 80)
TIMEOUT = 2.0  # seconds for one answer; the service answers in a millisecond once the network is there
PATIENCE = 120.0  # seconds until a boot goes on without metadata, as cloud-init's max_wait


class Unreachable(Exception):
    """No answer, or a server error: worth another try."""


class Refused(Exception):
    """The service is there and says no: metadata is switched off for this instance."""


class Metadata:
    def __init__(self, address=ADDRESS, timeout=TIMEOUT):
        self.address = address
        self.timeout = timeout
        self.token = None

    def wait(self, patience=PATIENCE, clock=time.monotonic, sleep=time.sleep):
        """Returns the instance id, asking until the network answers or the patience ends."""
        deadline, pause = clock() + patience, 0.02
        while True:
            try:
                self.authenticate()
                instance = self.get("meta-data/instance-id")
                if instance is None:
                    raise Refused("there is no instance-id in the metadata")
                return instance.decode()
            except Unreachable:
                if clock() >= deadline:
                    raise
                sleep(pause)
                pause = min(pause * 2, 1.0)

    def authenticate(self):
        """Gets a token; a service that gives none may still serve version 1."""
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
        status, body = self.request("PUT", "/latest/api/token", headers)
        self.token = body.decode("ascii") if status == 200 else None

    def get(self, name):
        """The body of /latest/NAME, or None where there is none."""
        headers = {"X-aws-ec2-metadata-token": self.token} if self.token else {}
        status, body = self.request("GET", f"/latest/{name}", headers)
        if status == 200:
            return body
        if status == 404:
            return None
        raise Refused(f"the metadata service answers {status} for {name}")

    def request(self, method, path, headers):
        lines = [f"{method} {path} HTTP/1.0", f"Host: {self.address[0]}", "Content-Length: 0"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        try:
            with socket.create_connection(self.address, self.timeout) as connection:
                connection.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
        except OSError as error:
            raise Unreachable(f"metadata service: {error}") from error
        return parse(answer)


def parse(answer):
    head, found, body = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split()
    if not found or len(words) < 2 or not words[1].isdigit():
        raise Unreachable("metadata service: incomplete answer")
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit() and int(value) > len(body):
            raise Unreachable("metadata service: truncated answer")
    status = int(words[1])
    if status >= 500 or status == 429:
        raise Unreachable(f"metadata service: status {status}")
    return status, body
