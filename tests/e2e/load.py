"""A steady load, as a client with several connections makes it, and what came back."""

import http.client
import json
import socket
import threading
import time


class Asking:
    """A thread that runs `_ask` for each of `clients`, its arguments, until left."""

    def __init__(self, clients):
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=client, daemon=True) for client in clients]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()


class Load(Asking):
    """Asks `/api/whoami` from `clients` threads; each answer is kept with its time."""

    def __init__(self, name, clients=4, timeout=5.0, path="/api/whoami"):
        super().__init__([()] * clients)
        self.name, self.clients, self.timeout, self.path = name, clients, timeout, path
        self.answers = []

    def _ask(self):
        turn = 0
        while not self._stop.is_set():
            turn += 1
            begun = time.monotonic()
            status, instance = once(self.name, self.path, self.timeout, turn)
            self.answers.append((begun, status, instance))
            # A steady rate: at most twenty a second for each client.
            self._stop.wait(max(0.0, 0.05 - (time.monotonic() - begun)))

    def since(self, moment):
        return [answer for answer in self.answers if answer[0] >= moment]

    @staticmethod
    def failed(answers):
        return [answer for answer in answers if answer[1] != 200]


def once(name, path="/api/whoami", timeout=5.0, turn=0):
    """Status (0 if there was none) and the instance that answered; looks the name up each time."""
    try:
        addresses = sorted({a[4][0] for a in socket.getaddrinfo(name, 80, socket.AF_INET, socket.SOCK_STREAM)})
        connection = http.client.HTTPConnection(addresses[turn % len(addresses)], timeout=timeout)
        connection.request("GET", path, headers={"Host": name})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        instance = json.loads(body).get("instance_id") if response.status == 200 and path.startswith("/api/") else None
        return response.status, instance
    except (OSError, http.client.HTTPException, ValueError):
        return 0, None
