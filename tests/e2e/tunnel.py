"""ssh's ProxyCommand through an EC2 Instance Connect Endpoint, as AWS CLI v2's `open-tunnel` does it.

    python tunnel.py REGION ENDPOINT-ID DNS-NAME ADDRESS AUTHORITY.pem [PORT]

Credentials come from the environment. Why the other side closed is said on stderr.

One thread does all with the socket: Python's TLS sockets are not safe in two, and websockets' threaded client, whose
second thread reads the server's session tickets while the first writes its request, now and then waits for ever.
"""

import asyncio
import os
import ssl
import sys
import threading
import urllib.parse

import botocore.session
from botocore.signers import RequestSigner
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


def signed(region, endpoint, name, address, port):
    """The CLI's request, by the same signer."""
    session = botocore.session.get_session()
    model = session.get_service_model("ec2-instance-connect")
    signer = RequestSigner(
        model.service_id, region, model.signing_name, model.signature_version, session.get_credentials(), session.get_component("event_emitter")
    )
    query = urllib.parse.urlencode({"instanceConnectEndpointId": endpoint, "remotePort": port, "privateIpAddress": address})
    request = {
        "url": f"wss://{name}/openTunnel?{query}", "body": {}, "headers": {"host": name}, "method": "GET",
        "query_string": "", "url_path": "/", "context": {},
    }
    return signer.generate_presigned_url(request_dict=request, operation_name="openTunnel", expires_in=60)


def read(loop, socket):
    """Hands on what comes in. A daemon's thread: nobody waits for one that still reads when the other side closed."""

    def hand(coroutine):
        asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    try:
        while data := os.read(0, 65_000):
            hand(socket.send(data))
        hand(socket.close())
    except (ConnectionClosed, RuntimeError):
        pass  # The other side closed; the loop says why.


async def relay(url, authority):
    async with connect(url, ssl=ssl.create_default_context(cafile=authority), compression=None) as socket:
        threading.Thread(target=read, args=(asyncio.get_running_loop(), socket), daemon=True).start()
        async for data in socket:
            os.write(1, data)


def main():
    region, endpoint, name, address, authority, *port = sys.argv[1:]
    url = signed(region, endpoint, name, address, *port or ["22"])
    try:
        asyncio.run(relay(url, authority))
    except ConnectionClosed as error:
        sys.exit(f"closed: {error}")
    except InvalidStatus as error:
        sys.exit(f"refused: {error.response.status_code} {error.response.body.decode()}")


if __name__ == "__main__":
    main()
