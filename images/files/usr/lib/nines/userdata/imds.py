"""The instance metadata service, version 2 first.

HTTP/1.0 over a socket: the service is one hop away and answers small plain bodies, while importing
an HTTP client would cost more CPU than all the requests of a boot.
"""

import socket
import time

ADDRESS = ("169.254.169.254", 80)
# Requests that are on their way at once; more might wait for us while we wait for them.
AT_ONCE = 32
# No branch of the tree is as deep.
DEPTH = 12
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

    def tree(self, name):
        """All values below a directory, in nested mappings: a level at a time, each in one go."""
        found = {}
        directories = [(name, found)]
        for _ in range(DEPTH):
            leaves, below = [], []
            for (path, values), listing in zip(directories, self.get_all([path for path, _ in directories])):
                for line in text(listing or b"").splitlines():
                    number, equals, key = line.partition("=")
                    if path.endswith("/public-keys/") and equals:
                        leaves.append((f"{path}{number}/openssh-key", values, key))
                    elif line.endswith("/"):
                        values[line[:-1]] = {}
                        below.append((path + line, values[line[:-1]]))
                    elif line:
                        leaves.append((path + line, values, line))
            for (_, values, key), value in zip(leaves, self.get_all([path for path, _, _ in leaves])):
                if value is not None:
                    values[key] = decoded(value)
            directories = below
        return found

    def get_all(self, names):
        """What `get` gives for each, by one connection; None also for what is refused."""
        found = []
        token = f"X-aws-ec2-metadata-token: {self.token}\r\n" if self.token else ""
        for start in range(0, len(names), AT_ONCE):
            some = names[start : start + AT_ONCE]
            asked = "".join(f"GET /latest/{name.replace(' ', '%20')} HTTP/1.1\r\nHost: {self.address[0]}\r\n{token}\r\n" for name in some)
            try:
                with socket.create_connection(self.address, self.timeout) as connection, connection.makefile("rb") as answers:
                    connection.sendall(asked.encode())
                    found += [following(answers) for _ in some]
            except OSError as error:
                raise Unreachable(f"metadata service: {error}") from error
        return found

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


def following(answers):
    """The body of the next answer of a connection, None if it is not one of success."""
    words = answers.readline().split()
    if len(words) < 2 or not words[1].isdigit():
        raise Unreachable("metadata service: incomplete answer")
    length = 0
    while line := answers.readline().strip():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            length = int(value)
    body = answers.read(length)
    if len(body) < length:
        raise Unreachable("metadata service: truncated answer")
    return body if words[1] == b"200" else None


def text(content):
    return content.decode("utf-8", "replace")


def decoded(content):
    """A leaf's value: JSON as what it says, several lines as a list."""
    value = text(content)
    if value.startswith("{") and value.rstrip().endswith("}"):
        import json

        try:
            return json.loads(value)
        except ValueError:
            return value
    lines = value.splitlines()
    return lines if len(lines) > 1 else value.rstrip("\n")
