"""ssh's ProxyCommand through an EC2 Instance Connect Endpoint, as AWS CLI v2's `open-tunnel` does it.

    python tunnel.py REGION ENDPOINT-ID DNS-NAME ADDRESS AUTHORITY.pem [PORT]

Credentials come from the environment. Why the other side closed is said on stderr.
"""

import os
import ssl
import sys
import threading
import urllib.parse

import botocore.session
from botocore.signers import RequestSigner
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


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


def send(socket):
    while data := os.read(0, 65_000):
        socket.send(data)
    socket.close()


def main():
    region, endpoint, name, address, authority, *port = sys.argv[1:]
    url = signed(region, endpoint, name, address, *port or ["22"])
    try:
        with connect(url, ssl=ssl.create_default_context(cafile=authority), compression=None) as socket:
            threading.Thread(target=send, args=(socket,), daemon=True).start()
            for data in socket:
                os.write(1, data)
    except ConnectionClosed as error:
        sys.exit(f"closed: {error}")
    except InvalidStatus as error:
        sys.exit(f"refused: {error.response.status_code} {error.response.body.decode()}")


if __name__ == "__main__":
    main()
