"""HTTPS listeners as a browser meets them: names, certificates, versions, HTTP/2, redirects."""

import socket
import ssl
import subprocess

import pytest

from conftest import eventually, run

HOST = "www.tls.example"


@pytest.fixture(scope="module")
def front(cloud, tmp_path_factory):
    """A load balancer in the default VPC: HTTPS by a certificate that the cloud issued, one imported beside, HTTP redirects."""
    elb, acm, ec2 = (cloud.client(name) for name in ("elbv2", "acm", "ec2"))
    subnets = [s["SubnetId"] for s in ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]][:2]
    vpc = ec2.describe_subnets(SubnetIds=subnets)["Subnets"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="tls", Description="tls", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=group, IpProtocol="tcp", FromPort=80, ToPort=443, CidrIp="0.0.0.0/0")
    issued = acm.request_certificate(DomainName=HOST, SubjectAlternativeNames=["*.tls.example"], ValidationMethod="DNS")["CertificateArn"]
    eventually(lambda: acm.describe_certificate(CertificateArn=issued)["Certificate"]["Status"] == "ISSUED", "the certificate is issued")
    files = tmp_path_factory.mktemp("certificates")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", "/CN=other.example", "-addext", "subjectAltName=DNS:other.example"]
    run(*make, "-keyout", files / "key.pem", "-out", files / "body.pem")
    body, key = (files / "body.pem").read_bytes(), (files / "key.pem").read_bytes()
    imported = acm.import_certificate(Certificate=body, PrivateKey=key)["CertificateArn"]
    balancer = elb.create_load_balancer(Name="tls", Subnets=subnets, SecurityGroups=[group])["LoadBalancers"][0]
    arn = balancer["LoadBalancerArn"]
    hello = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": "hello"}}
    https = elb.create_listener(
        LoadBalancerArn=arn, Port=443, Protocol="HTTPS", SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06",
        Certificates=[{"CertificateArn": issued}], DefaultActions=[hello],
    )["Listeners"][0]["ListenerArn"]
    elb.add_listener_certificates(ListenerArn=https, Certificates=[{"CertificateArn": imported}])
    redirect = {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}
    elb.create_listener(LoadBalancerArn=arn, Port=80, Protocol="HTTP", DefaultActions=[redirect])
    eventually(lambda: elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]["State"]["Code"] == "active", "the balancer is active")
    address = next(n["public_ip"] for b in cloud.ps()["load_balancers"] if b["name"] == "tls" for n in b["nodes"])
    authority = files / "authority.pem"
    authority.write_text(cloud.nines("ca"))
    yield {"address": address, "authority": authority, "imported": files / "body.pem", "arn": imported}
    elb.delete_load_balancer(LoadBalancerArn=arn)
    eventually(lambda: ec2.delete_security_group(GroupId=group), "the balancer let go of its group")
    for certificate in (issued, imported):
        eventually(lambda: acm.delete_certificate(CertificateArn=certificate) is not None, "the certificate is free")


def shake(front, name, trusted, **limits):
    context = ssl.create_default_context(cafile=trusted)
    for limit, version in limits.items():
        setattr(context, limit, version)
    with socket.create_connection((front["address"], 443), timeout=20) as plain, context.wrap_socket(plain, server_hostname=name) as secure:
        secure.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := secure.recv(65536):
            answer += piece
        return secure.version(), answer


def test_each_name_gets_its_certificate(front):
    for name, trusted in ((HOST, "authority"), ("any.tls.example", "authority"), ("other.example", "imported")):
        version, answer = shake(front, name, front[trusted])
        assert version == "TLSv1.3" and answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"hello")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(front, "other.example", front["authority"])


def test_versions_follow_the_policy(front):
    assert shake(front, HOST, front["authority"], maximum_version=ssl.TLSVersion.TLSv1_2)[0] == "TLSv1.2"
    out = subprocess.run(
        ["openssl", "s_client", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-connect", f"{front['address']}:443"],
        input="", capture_output=True, text=True, timeout=20,
    )
    assert "alert" in out.stderr and "Cipher is (NONE)" in out.stdout


def curl(front, *arguments):
    resolve = [option for port in (80, 443) for option in ("--resolve", f"{HOST}:{port}:{front['address']}")]
    return run("curl", "-sS", "--cacert", front["authority"], *resolve, *arguments).stdout


def test_curl_speaks_http2(front):
    assert curl(front, "--http2", "-w", " %{http_version}", f"https://{HOST}/") == "hello 2"
    assert curl(front, "--http1.1", "-w", " %{http_version}", f"https://{HOST}/") == "hello 1.1"


def test_http_redirects(front):
    location = curl(front, "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", f"http://{HOST}/a?b=c")
    assert location == f"301 https://{HOST}:443/a?b=c"
    assert curl(front, "-L", f"http://{HOST}/") == "hello"


def test_a_certificate_in_use_stays(cloud, front):
    acm = cloud.client("acm")
    with pytest.raises(acm.exceptions.ResourceInUseException):
        acm.delete_certificate(CertificateArn=front["arn"])
    assert acm.describe_certificate(CertificateArn=front["arn"])["Certificate"]["InUseBy"]
