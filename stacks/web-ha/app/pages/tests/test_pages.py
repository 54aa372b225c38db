import http.server
import tempfile
import threading
from pathlib import Path
from unittest import mock

from django.test import SimpleTestCase, override_settings

from pages import burn, counter, metadata

VALUES = {
    "instance-id": "i-0123456789abcdef0",
    "placement/availability-zone": "us-east-1b",
    "local-ipv4": "10.0.2.17",
    "instance-type": "t3.micro",
    "ami-id": "ami-0123456789abcdef0",
}


class MetadataService:
    """Version 2 on loopback: no token, no answer."""

    def __enter__(self):
        self.requests = requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                requests.append(self.path)
                body = b""
                if self.command == "PUT" and self.path == "/latest/api/token":
                    status, body = 200, b"token"
                elif self.headers.get("X-aws-ec2-metadata-token") != "token":
                    status = 401
                else:
                    value = VALUES.get(self.path.removeprefix("/latest/meta-data/"))
                    status, body = (404, b"") if value is None else (200, value.encode())
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.settings = override_settings(METADATA_URL=f"http://127.0.0.1:{self.server.server_port}")
        self.settings.enable()
        metadata.forget()
        return self

    def __exit__(self, *_):
        self.settings.disable()
        metadata.forget()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@override_settings(METADATA_URL="http://127.0.0.1:9")
class Pages(SimpleTestCase):
    def setUp(self):
        metadata.forget()

    def test_page_and_json_say_who_answers(self):
        with MetadataService() as service:
            page = self.client.get("/")
            for text in ("i-0123456789abcdef0", "us-east-1b", "10.0.2.17"):
                self.assertContains(page, text)
            asked = len(service.requests)
            body = self.client.get("/api/whoami", HTTP_X_FORWARDED_FOR="198.51.100.7").json()
            self.assertEqual(asked, len(service.requests), "identity is asked once")
        self.assertEqual("us-east-1b", body["availability_zone"])
        self.assertEqual("198.51.100.7", body["client"])
        self.assertIn("no-store", page["Cache-Control"])

    def test_a_value_that_is_not_there_hides_no_other(self):
        with MetadataService(), mock.patch.dict(VALUES), mock.patch.dict(metadata.FIELDS, {"spot": "spot/instance-action"}):
            del VALUES["ami-id"]
            body = self.client.get("/api/whoami").json()
        self.assertEqual((None, None, "t3.micro"), (body["ami_id"], body["spot"], body["instance_type"]))

    def test_pages_work_without_metadata_and_ask_again_later(self):
        with self.assertLogs("pages.metadata", "WARNING"):
            self.assertEqual(200, self.client.get("/").status_code)
        with mock.patch.object(metadata, "ask", side_effect=AssertionError("asked too soon")):
            self.assertIsNone(self.client.get("/api/whoami").json()["instance_id"])
        with mock.patch.object(metadata, "_failed_at", -metadata.RETRY_AFTER - 1e9), mock.patch.object(metadata, "ask", return_value={"instance_id": "i-1"}):
            self.assertEqual("i-1", metadata.identity()["instance_id"])
        metadata.forget()

    def test_requests_are_counted_health_checks_are_not(self):
        metadata._failed_at = float("inf")
        before = counter.value()
        self.client.get("/api/whoami")
        self.client.get("/health")
        self.assertEqual(before + 1, counter.value())

    def test_only_reading_is_allowed(self):
        for path in ("/", "/health", "/burn", "/api/whoami"):
            self.assertEqual(405, self.client.post(path).status_code, path)


class Health(SimpleTestCase):
    def check(self, status):
        response = self.client.get("/health")
        self.assertEqual(status, response.status_code, response.content)

    def test_healthy_without_metadata(self):
        with mock.patch.object(metadata, "ask", side_effect=AssertionError("health must not depend on it")):
            self.check(200)

    def test_maintenance(self):
        with tempfile.NamedTemporaryFile() as file, override_settings(MAINTENANCE_FILE=Path(file.name)):
            self.check(503)
        self.check(200)

    def test_full_disk(self):
        with mock.patch("tempfile.TemporaryFile", side_effect=OSError("no space left")):
            self.check(503)

    def test_stuck_worker(self):
        with mock.patch.object(counter, "answers_within", return_value=False):
            self.check(503)


class Burn(SimpleTestCase):
    def setUp(self):
        metadata._failed_at = float("inf")
        self.addCleanup(metadata.forget)

    def test_bounds(self):
        for seconds in ("0", "-1", "31", "nan", "inf", "ten", ""):
            self.assertEqual(400, self.client.get("/burn", {"seconds": seconds}).status_code, seconds)
        self.assertEqual(0.01, self.client.get("/burn?seconds=0.01").json()["burned_seconds"])

    def test_too_many_at_once(self):
        with mock.patch.object(burn, "_slots", threading.BoundedSemaphore(1)) as slots:
            slots.acquire()
            response = self.client.get("/burn?seconds=1")
        self.assertEqual((503, "1"), (response.status_code, response["Retry-After"]))
