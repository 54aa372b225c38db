"""Certificate Manager, and the listeners that serve its certificates, against a running endpoint.

    python tests/api/acm.py --endpoint http://127.0.0.1:4566

Uses an account of its own, whose random number keeps runs apart. Needs `openssl`.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from checks import check, failures
from strict import Checker, client, code_of


def make(names, *options):
    """A self-signed certificate and its key, in PEM."""
    with tempfile.TemporaryDirectory() as directory:
        body, key = Path(directory, "body.pem"), Path(directory, "key.pem")
        alternative = ",".join(f"DNS:{name}" for name in names)
        command = ["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={alternative}"]
        subprocess.run([*command, *options, "-keyout", key, "-out", body], check=True, capture_output=True)
        return body.read_bytes(), key.read_bytes()


RSA = ("-newkey", "rsa:2048")


def issued(acm, arn):
    for _ in range(100):
        certificate = acm.describe_certificate(CertificateArn=arn)["Certificate"]
        if certificate["Status"] == "ISSUED":
            return certificate
        time.sleep(0.1)
    raise SystemExit(f"{arn} is not issued: {certificate}")


def requests(acm):
    check("mail", code_of(acm.request_certificate, DomainName="a.example"), "InvalidParameterException")
    check("name", code_of(acm.request_certificate, DomainName="a", ValidationMethod="DNS"), "ValidationException")
    check("unknown", code_of(acm.request_certificate, DomainName="a.example", ValidationMethod="DNS", ManagedBy="CLOUDFRONT"), "ValidationException")
    ask = {"DomainName": "a.example", "SubjectAlternativeNames": ["*.a.example"], "ValidationMethod": "DNS", "IdempotencyToken": "t"}
    arn = acm.request_certificate(**ask, Tags=[{"Key": "a", "Value": "b"}])["CertificateArn"]
    check("same token", acm.request_certificate(**ask)["CertificateArn"], arn)
    certificate = issued(acm, arn)
    check("names", certificate["SubjectAlternativeNames"], ["a.example", "*.a.example"])
    check("type", certificate["Type"], "AMAZON_ISSUED")
    check("records", {option["ResourceRecord"]["Name"] for option in certificate["DomainValidationOptions"]} and len(certificate["DomainValidationOptions"]), 2)
    pem = acm.get_certificate(CertificateArn=arn)
    check("pem", pem["Certificate"].startswith("-----BEGIN CERTIFICATE-----") and "CertificateChain" in pem, True)
    acm.add_tags_to_certificate(CertificateArn=arn, Tags=[{"Key": "c", "Value": "d"}, {"Key": "e"}])
    acm.remove_tags_from_certificate(CertificateArn=arn, Tags=[{"Key": "a"}, {"Key": "c", "Value": "other"}])
    tags = acm.list_tags_for_certificate(CertificateArn=arn)["Tags"]
    check("tags", {tag["Key"]: tag["Value"] for tag in tags}, {"c": "d", "e": ""})
    acm.update_certificate_options(CertificateArn=arn, Options={"CertificateTransparencyLoggingPreference": "DISABLED"})
    options = acm.describe_certificate(CertificateArn=arn)["Certificate"]["Options"]
    check("options", options["CertificateTransparencyLoggingPreference"], "DISABLED")
    return arn


def imports(acm):
    body, key = make(["b.example"], *RSA)
    _, other = make(["b.example"], *RSA)
    check("other key", code_of(acm.import_certificate, Certificate=body, PrivateKey=other), "ValidationException")
    check("no key", code_of(acm.import_certificate, Certificate=body, PrivateKey=body), "ValidationException")
    check("no certificate", code_of(acm.import_certificate, Certificate=b"x", PrivateKey=key), "ValidationException")
    check("wrong chain", code_of(acm.import_certificate, Certificate=body, PrivateKey=key, CertificateChain=make(["c"], *RSA)[0]), "ValidationException")
    arn = acm.import_certificate(Certificate=body, PrivateKey=key)["CertificateArn"]
    certificate = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    check("imported", (certificate["Type"], certificate["KeyAlgorithm"], certificate["SignatureAlgorithm"]), ("IMPORTED", "RSA_2048", "SHA256WITHRSA"))
    again, key = make(["b.example", "d.example"], *RSA)
    check("re-import", acm.import_certificate(CertificateArn=arn, Certificate=again, PrivateKey=key)["CertificateArn"], arn)
    check("re-imported", acm.describe_certificate(CertificateArn=arn)["Certificate"]["SubjectAlternativeNames"], ["b.example", "d.example"])
    return arn


def lists(acm, requested, imported):
    listed = lambda **ask: {c["CertificateArn"] for c in acm.list_certificates(**ask)["CertificateSummaryList"]}
    check("by default RSA", listed(), {imported})
    check("by key", listed(Includes={"keyTypes": ["EC_prime256v1"]}), {requested})
    both = {"keyTypes": ["EC_prime256v1", "RSA_2048"]}
    check("both", listed(Includes=both), {requested, imported})
    check("pending", listed(Includes=both, CertificateStatuses=["PENDING_VALIDATION"]), set())
    first = acm.list_certificates(Includes=both, MaxItems=1)
    rest = acm.list_certificates(Includes=both, MaxItems=1, NextToken=first["NextToken"])
    check("pages", (len(first["CertificateSummaryList"]), len(rest["CertificateSummaryList"]), "NextToken" in rest), (1, 1, False))


def listeners(acm, elb, ec2, s3, requested, imported):
    subnets = [s["SubnetId"] for s in ec2.describe_subnets()["Subnets"]][:2]
    balancer = elb.create_load_balancer(Name="acm", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}
    base = {"LoadBalancerArn": balancer, "Port": 443, "Protocol": "HTTPS", "DefaultActions": [fixed]}
    of = lambda *arns: [{"CertificateArn": arn} for arn in arns]
    create = elb.create_listener
    check("none", code_of(create, **base), "ValidationError")
    check("two", code_of(create, **base, Certificates=of(requested, imported)), "ValidationError")
    check("unknown", code_of(create, **base, Certificates=of(requested[:-3] + "000")), "CertificateNotFound")
    check("policy", code_of(create, **base, Certificates=of(requested), SslPolicy="x"), "SSLPolicyNotFound")
    verify = {"Mode": "verify", "TrustStoreArn": "x"}
    check("verify", code_of(create, **base, Certificates=of(requested), MutualAuthentication=verify), "ValidationError")
    listener = create(**base, Certificates=of(requested))["Listeners"][0]
    arn = listener["ListenerArn"]
    check("default policy", listener["SslPolicy"], "ELBSecurityPolicy-2016-08")
    check("again", create(**base, Certificates=of(requested))["Listeners"][0]["ListenerArn"], arn)
    check("otherwise", code_of(create, **base, Certificates=of(imported)), "DuplicateListener")
    elb.add_listener_certificates(ListenerArn=arn, Certificates=of(imported))
    described = lambda: {c["CertificateArn"]: c["IsDefault"] for c in elb.describe_listener_certificates(ListenerArn=arn)["Certificates"]}
    check("certificates", described(), {requested: True, imported: False})
    check("in use", code_of(acm.delete_certificate, CertificateArn=imported), "ResourceInUseException")
    check("users", acm.describe_certificate(CertificateArn=imported)["Certificate"]["InUseBy"], [balancer])
    check("default stays", code_of(elb.remove_listener_certificates, ListenerArn=arn, Certificates=of(requested)), "OperationNotPermitted")
    elb.remove_listener_certificates(ListenerArn=arn, Certificates=of(imported))
    changed = elb.modify_listener(ListenerArn=arn, Certificates=of(imported), SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06")["Listeners"][0]
    check("modified", (changed["Certificates"], changed["SslPolicy"]), (of(imported), "ELBSecurityPolicy-TLS13-1-2-2021-06"))
    check("replaced", described(), {imported: True})
    plain = elb.modify_listener(ListenerArn=arn, Protocol="HTTP", Port=80)["Listeners"][0]
    check("plain", ("Certificates" in plain, "SslPolicy" in plain), (False, False))
    trust_stores(elb, s3, balancer, requested, [fixed])
    elb.delete_load_balancer(LoadBalancerArn=balancer)
    flows(elb, ec2, requested, imported)


def flows(elb, ec2, requested, imported):
    """TLS listeners of network load balancers, and what their targets are told."""
    subnets = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"][:2]
    made = elb.create_load_balancer(Name="tls", Type="network", Subnets=[s["SubnetId"] for s in subnets])
    balancer = made["LoadBalancers"][0]["LoadBalancerArn"]
    group = lambda name, **more: elb.create_target_group(Name=name, Port=443, VpcId=subnets[0]["VpcId"], **more)["TargetGroups"][0]["TargetGroupArn"]
    tls, udp = group("tls", Protocol="TLS", TargetType="ip"), group("tls-udp", Protocol="UDP")
    forward = lambda arn: [{"Type": "forward", "TargetGroupArn": arn}]
    of = lambda *arns: [{"CertificateArn": arn} for arn in arns]
    base = {"LoadBalancerArn": balancer, "Port": 443, "Protocol": "TLS", "DefaultActions": forward(tls)}
    create = elb.create_listener
    for what, code, more in [
        ("no certificate", "ValidationError", {}),
        ("group", "IncompatibleProtocols", {"Certificates": of(requested), "DefaultActions": forward(udp)}),
        ("clients' certificates", "ValidationError", {"Certificates": of(requested), "MutualAuthentication": {"Mode": "passthrough"}}),
        ("ALPN policy", "ValidationError", {"Certificates": of(requested), "AlpnPolicy": ["HTTP3"]}),
        ("ALPN of TCP", "ValidationError", {"Protocol": "TCP", "AlpnPolicy": ["HTTP2Only"], "DefaultActions": forward(group("tls-tcp", Protocol="TCP"))}),
    ]:
        check(what, code_of(create, **base | more), code)
    listener = create(**base, Certificates=of(requested), AlpnPolicy=["HTTP2Preferred"])["Listeners"][0]
    arn = listener["ListenerArn"]
    check("ALPN", listener["AlpnPolicy"], ["HTTP2Preferred"])
    check("default policy", listener["SslPolicy"], "ELBSecurityPolicy-2016-08")
    elb.add_listener_certificates(ListenerArn=arn, Certificates=of(imported))
    check("certificates", len(elb.describe_listener_certificates(ListenerArn=arn)["Certificates"]), 2)
    check("no attributes", elb.describe_listener_attributes(ListenerArn=arn)["Attributes"], [])
    check("kept", elb.modify_listener(ListenerArn=arn, Port=444)["Listeners"][0]["AlpnPolicy"], ["HTTP2Preferred"])
    change = lambda arn, key, value: elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[{"Key": key, "Value": value}])["Attributes"]
    header = "proxy_protocol_v2.enabled"
    attributes = {a["Key"]: a["Value"] for a in change(tls, header, "true")}
    check("header", (attributes[header], attributes["preserve_client_ip.enabled"]), ("true", "false"))
    check("header of UDP", code_of(change, udp, header, "true"), "ValidationError")
    check("sticky TLS", code_of(change, tls, "stickiness.enabled", "true"), "ValidationError")
    elb.delete_load_balancer(LoadBalancerArn=balancer)
    for name in ("tls", "tls-udp", "tls-tcp"):
        elb.delete_target_group(TargetGroupArn=elb.describe_target_groups(Names=[name])["TargetGroups"][0]["TargetGroupArn"])


def trust_stores(elb, s3, balancer, certificate, actions):
    """Authorities from a bucket, and a listener that asks for clients of theirs."""
    bucket = f"trust-{random.randrange(10**9)}"
    s3.create_bucket(Bucket=bucket)
    with tempfile.TemporaryDirectory() as directory:
        key, body, lists = (Path(directory, name) for name in ("key.pem", "body.pem", "list.pem"))
        command = ["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=authority", *RSA, "-keyout", key, "-out", body]
        subprocess.run(command, check=True, capture_output=True)
        Path(directory, "index").touch()
        Path(directory, "number").write_text("01\n")
        settings = Path(directory, "ca.conf")
        settings.write_text(f"[ca]\ndefault_ca = c\n[c]\ndatabase = {directory}/index\ncrlnumber = {directory}/number\ndefault_md = sha256\ndefault_crl_days = 30\n")
        command = ["openssl", "ca", "-config", settings, "-gencrl", "-keyfile", key, "-cert", body, "-out", lists]
        subprocess.run(command, check=True, capture_output=True)
        for name, content in (("ca.pem", body.read_bytes()), ("crl.pem", lists.read_bytes()), ("no.pem", b"nothing")):
            s3.put_object(Bucket=bucket, Key=name, Body=content)
    place = lambda name: {"CaCertificatesBundleS3Bucket": bucket, "CaCertificatesBundleS3Key": name}
    check("no bundle", code_of(elb.create_trust_store, Name="a", **place("absent")), "CaCertificatesBundleNotFound")
    check("no PEM", code_of(elb.create_trust_store, Name="a", **place("no.pem")), "InvalidCaCertificatesBundle")
    store = elb.create_trust_store(Name="a", **place("ca.pem"))["TrustStores"][0]
    arn = store["TrustStoreArn"]
    check("store", (store["Status"], store["NumberOfCaCertificates"]), ("ACTIVE", 1))
    check("name taken", code_of(elb.create_trust_store, Name="a", **place("ca.pem")), "DuplicateTrustStoreName")
    lists = [{"S3Bucket": bucket, "S3Key": "crl.pem", "RevocationType": "CRL"}]
    added = elb.add_trust_store_revocations(TrustStoreArn=arn, RevocationContents=lists)["TrustStoreRevocations"][0]
    check("revocations", (added["RevocationId"], added["NumberOfRevokedEntries"]), (1, 0))
    broken = [{"S3Bucket": bucket, "S3Key": "no.pem"}]
    check("no list", code_of(elb.add_trust_store_revocations, TrustStoreArn=arn, RevocationContents=broken), "InvalidRevocationContent")
    listed = elb.describe_trust_store_revocations(TrustStoreArn=arn)["TrustStoreRevocations"]
    check("listed", [r["RevocationId"] for r in listed], [1])
    elb.remove_trust_store_revocations(TrustStoreArn=arn, RevocationIds=[1])
    check("removed", code_of(elb.remove_trust_store_revocations, TrustStoreArn=arn, RevocationIds=[1]), "RevocationIdNotFound")
    mutual = {"Mode": "verify", "TrustStoreArn": arn, "IgnoreClientCertificateExpiry": True}
    listener = elb.create_listener(
        LoadBalancerArn=balancer, Protocol="HTTPS", Port=9443, Certificates=[{"CertificateArn": certificate}],
        DefaultActions=actions, MutualAuthentication=mutual,
    )["Listeners"][0]
    said = listener["MutualAuthentication"]
    check("verify", (said["Mode"], said["TrustStoreArn"], said["IgnoreClientCertificateExpiry"]), ("verify", arn, True))
    users = elb.describe_trust_store_associations(TrustStoreArn=arn)["TrustStoreAssociations"]
    check("associations", [a["ResourceArn"] for a in users], [listener["ListenerArn"]])
    check("in use", code_of(elb.delete_trust_store, TrustStoreArn=arn), "TrustStoreInUse")
    off = elb.modify_listener(ListenerArn=listener["ListenerArn"], MutualAuthentication={"Mode": "off"})["Listeners"][0]
    check("off", off["MutualAuthentication"]["Mode"], "off")
    elb.modify_trust_store(TrustStoreArn=arn, **place("ca.pem"))
    elb.delete_trust_store(TrustStoreArn=arn)
    check("gone", code_of(elb.describe_trust_stores, TrustStoreArns=[arn]), "TrustStoreNotFound")
    elb.delete_listener(ListenerArn=listener["ListenerArn"])
    for name in ("ca.pem", "crl.pem", "no.pem"):
        s3.delete_object(Bucket=bucket, Key=name)
    s3.delete_bucket(Bucket=bucket)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--endpoint", default="http://127.0.0.1:4566")
    endpoint = options.parse_args().endpoint
    account = str(random.randrange(10**11, 10**12))
    acm, elb, ec2, s3 = (client(service, endpoint, account) for service in ("acm", "elbv2", "ec2", "s3"))
    checkers = [Checker(acm), Checker(elb)]
    requested, imported = requests(acm), imports(acm)
    lists(acm, requested, imported)
    listeners(acm, elb, ec2, s3, requested, imported)
    for arn in (requested, imported):
        acm.delete_certificate(CertificateArn=arn)
        check("gone", code_of(acm.describe_certificate, CertificateArn=arn), "ResourceNotFoundException")
    check("not an ARN", code_of(acm.describe_certificate, CertificateArn="arn:aws:s3:::a-bucket-of-mine"), "InvalidArnException")
    for checker in checkers:
        failures.extend(f"unknown to botocore: {path}" for path in sorted(checker.unknown))
    print("\n".join(failures) or "ok")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
