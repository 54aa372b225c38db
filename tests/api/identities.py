"""Users, groups, access keys and identity providers: what AWS answers, and what its models say.

    python tests/api/identities.py --endpoint http://127.0.0.1:4566
"""

import argparse
import base64
import hashlib
import json
import random
import sys

import boto3
import botocore.exceptions

from checks import check, failures, refused
from strict import Checker, client, code_of

MANAGED = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
DOCUMENT = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})


def users(iam, account):
    made = iam.create_user(UserName="Ann", Path="/staff/", Tags=[{"Key": "a", "Value": "1"}])["User"]
    check("arn", made["Arn"], f"arn:aws:iam::{account}:user/staff/Ann")
    check("id", made["UserId"][:4], "AIDA")
    iam.create_user(UserName="bob")
    check("listed", [u["UserName"] for u in iam.list_users()["Users"]], ["Ann", "bob"])
    check("by path", [u["UserName"] for u in iam.list_users(PathPrefix="/staff/")["Users"]], ["Ann"])
    first = iam.list_users(MaxItems=1)
    rest = iam.list_users(Marker=first["Marker"])
    check("by pages", (first["IsTruncated"], [u["UserName"] for u in rest["Users"]]), (True, ["bob"]))
    iam.tag_user(UserName="Ann", Tags=[{"Key": "b", "Value": "2"}])
    iam.untag_user(UserName="Ann", TagKeys=["a"])
    check("tags", iam.list_user_tags(UserName="Ann")["Tags"], [{"Key": "b", "Value": "2"}])
    iam.put_user_permissions_boundary(UserName="Ann", PermissionsBoundary=MANAGED)
    boundary = iam.get_user(UserName="Ann")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"]
    check("boundary", boundary, MANAGED)
    iam.delete_user_permissions_boundary(UserName="Ann")
    iam.create_login_profile(UserName="bob", Password="long enough", PasswordResetRequired=True)
    check("login", iam.get_login_profile(UserName="bob")["LoginProfile"]["PasswordResetRequired"], True)
    refused(
        (iam.create_user, dict(UserName="ANN"), "EntityAlreadyExists"),
        (iam.create_user, dict(UserName="a b"), "ValidationError"),
        (iam.get_user, dict(UserName="none"), "NoSuchEntity"),
        (iam.create_login_profile, dict(UserName="bob", Password="long enough"), "EntityAlreadyExists"),
        (iam.create_login_profile, dict(UserName="Ann", Password="short"), "PasswordPolicyViolation"),
        (iam.delete_user, dict(UserName="bob"), "DeleteConflict"),
    )
    iam.delete_login_profile(UserName="bob")
    for empty in (iam.list_mfa_devices, iam.list_ssh_public_keys, iam.list_signing_certificates, iam.list_service_specific_credentials):
        empty(UserName="bob")
    iam.list_virtual_mfa_devices()


def policies(iam):
    own = iam.create_policy(PolicyName="own", PolicyDocument=DOCUMENT)["Policy"]["Arn"]
    iam.create_group(GroupName="staff")
    for kind, name in (("user", "Ann"), ("group", "staff")):
        call = lambda verb, what="policy", **more: getattr(iam, f"{verb}_{kind}_{what}")(**{f"{kind.title()}Name": name}, **more)
        call("attach", PolicyArn=own)
        call("attach", PolicyArn=MANAGED)
        attached = getattr(iam, f"list_attached_{kind}_policies")(**{f"{kind.title()}Name": name})["AttachedPolicies"]
        check(f"attached to a {kind}", {p["PolicyArn"] for p in attached}, {own, MANAGED})
        call("put", PolicyName="inline", PolicyDocument=DOCUMENT)
        check(f"inline of a {kind}", call("get", PolicyName="inline")["PolicyDocument"], json.loads(DOCUMENT))
        check(f"names of a {kind}", getattr(iam, f"list_{kind}_policies")(**{f"{kind.title()}Name": name})["PolicyNames"], ["inline"])
    check("count", iam.get_policy(PolicyArn=own)["Policy"]["AttachmentCount"], 2)
    entities = iam.list_entities_for_policy(PolicyArn=own)
    check("entities", ([u["UserName"] for u in entities["PolicyUsers"]], [g["GroupName"] for g in entities["PolicyGroups"]]), (["Ann"], ["staff"]))
    refused(
        (iam.delete_policy, dict(PolicyArn=own), "DeleteConflict"),
        (iam.delete_user, dict(UserName="Ann"), "DeleteConflict"),
        (iam.delete_group, dict(GroupName="staff"), "DeleteConflict"),
        (iam.attach_user_policy, dict(UserName="Ann", PolicyArn=own + "x"), "NoSuchEntity"),
        (iam.get_user_policy, dict(UserName="Ann", PolicyName="none"), "NoSuchEntity"),
        (iam.put_user_policy, dict(UserName="Ann", PolicyName="p", PolicyDocument="{"), "MalformedPolicyDocument"),
    )
    for kind, name in (("user", "Ann"), ("group", "staff")):
        call = lambda verb, **more: getattr(iam, f"{verb}_{kind}_policy")(**{f"{kind.title()}Name": name}, **more)
        call("detach", PolicyArn=own)
        call("detach", PolicyArn=MANAGED)
        call("delete", PolicyName="inline")
    iam.delete_policy(PolicyArn=own)


def ssh_keys(iam):
    blob = base64.b64encode(b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-rsa", b"\x01\x00\x01", b"\x00" + b"\xc3" * 256))).decode()
    key = iam.upload_ssh_public_key(UserName="bob", SSHPublicKeyBody=f"ssh-rsa {blob} me")["SSHPublicKey"]
    check("key", (key["SSHPublicKeyId"][:4], key["Status"], key["Fingerprint"]), ("APKA", "Active", ":".join(hashlib.md5(base64.b64decode(blob)).digest()[n:n + 1].hex() for n in range(16))))
    name = dict(UserName="bob", SSHPublicKeyId=key["SSHPublicKeyId"])
    check("body", iam.get_ssh_public_key(**name, Encoding="SSH")["SSHPublicKey"]["SSHPublicKeyBody"], f"ssh-rsa {blob} me")
    check("pem", iam.get_ssh_public_key(**name, Encoding="PEM")["SSHPublicKey"]["SSHPublicKeyBody"].splitlines()[0], "-----BEGIN PUBLIC KEY-----")
    iam.update_ssh_public_key(**name, Status="Inactive")
    check("inactive", [(k["SSHPublicKeyId"], k["Status"]) for k in iam.list_ssh_public_keys(UserName="bob")["SSHPublicKeys"]], [(key["SSHPublicKeyId"], "Inactive")])
    refused(
        (iam.upload_ssh_public_key, dict(UserName="bob", SSHPublicKeyBody=f"ssh-rsa {blob}"), "DuplicateSSHPublicKey"),
        (iam.upload_ssh_public_key, dict(UserName="bob", SSHPublicKeyBody="ssh-rsa nonsense"), "InvalidPublicKey"),
        (iam.get_ssh_public_key, dict(name, Encoding="DER"), "UnrecognizedPublicKeyEncoding"),
        (iam.delete_user, dict(UserName="bob"), "DeleteConflict"),
    )
    iam.delete_ssh_public_key(**name)
    check("gone", code_of(iam.get_ssh_public_key, **name, Encoding="SSH"), "NoSuchEntity")


def groups(iam):
    iam.add_user_to_group(GroupName="staff", UserName="Ann")
    iam.add_user_to_group(GroupName="staff", UserName="Ann")
    check("members", [u["UserName"] for u in iam.get_group(GroupName="staff")["Users"]], ["Ann"])
    iam.update_user(UserName="Ann", NewUserName="Anna")
    check("renamed", [u["UserName"] for u in iam.get_group(GroupName="staff")["Users"]], ["Anna"])
    check("groups", [g["GroupName"] for g in iam.list_groups_for_user(UserName="Anna")["Groups"]], ["staff"])
    refused((iam.delete_group, dict(GroupName="staff"), "DeleteConflict"))
    iam.remove_user_from_group(GroupName="staff", UserName="Anna")
    iam.update_group(GroupName="staff", NewGroupName="people", NewPath="/all/")
    check("group", [(g["GroupName"], g["Path"]) for g in iam.list_groups()["Groups"]], [("people", "/all/")])
    iam.delete_group(GroupName="people")


def keys(iam, endpoint, account):
    key = iam.create_access_key(UserName="bob")["AccessKey"]
    iam.create_access_key(UserName="bob")
    check("quota", code_of(iam.create_access_key, UserName="bob"), "LimitExceeded")
    check("unused", iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]["ServiceName"], "N/A")

    def asks(secret, service="sts"):
        return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=secret)

    identity = asks(key["SecretAccessKey"]).get_caller_identity()
    check("who", (identity["Account"], identity["Arn"]), (account, f"arn:aws:iam::{account}:user/bob"))
    check("by itself", asks(key["SecretAccessKey"], "iam").get_user()["User"]["UserName"], "bob")
    check("wrong secret", code_of(asks("wrong").get_caller_identity), "SignatureDoesNotMatch")
    used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]
    check("used", (used["ServiceName"], used["Region"]), ("sts", "us-east-1"))
    iam.update_access_key(UserName="bob", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    check("inactive", code_of(asks(key["SecretAccessKey"]).get_caller_identity), "InvalidClientTokenId")
    for metadata in iam.list_access_keys(UserName="bob")["AccessKeyMetadata"]:
        iam.delete_access_key(UserName="bob", AccessKeyId=metadata["AccessKeyId"])
    for name in ("Anna", "bob"):
        iam.delete_user(UserName=name)


def providers(iam, account):
    arn = iam.create_open_id_connect_provider(Url="https://token.example.com/a", ClientIDList=["one"], ThumbprintList=["a" * 40])["OpenIDConnectProviderArn"]
    check("oidc", arn, f"arn:aws:iam::{account}:oidc-provider/token.example.com/a")
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="two")
    iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=arn, ThumbprintList=["b" * 40])
    shown = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    check("oidc", (shown["Url"], shown["ClientIDList"], shown["ThumbprintList"]), ("token.example.com/a", ["one", "two"], ["b" * 40]))
    refused(
        (iam.create_open_id_connect_provider, dict(Url="https://token.example.com/a"), "EntityAlreadyExists"),
        (iam.create_open_id_connect_provider, dict(Url="http://x"), "ValidationError"),
    )
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    check("gone", code_of(iam.get_open_id_connect_provider, OpenIDConnectProviderArn=arn), "NoSuchEntity")
    metadata = "<EntityDescriptor>" + " " * 1000 + "</EntityDescriptor>"
    saml = iam.create_saml_provider(Name="corp", SAMLMetadataDocument=metadata, Tags=[{"Key": "a", "Value": "b"}])["SAMLProviderArn"]
    check("saml", iam.get_saml_provider(SAMLProviderArn=saml)["SAMLMetadataDocument"], metadata)
    check("saml", [p["Arn"] for p in iam.list_saml_providers()["SAMLProviderList"]], [saml])
    check("saml tags", iam.list_saml_provider_tags(SAMLProviderArn=saml)["Tags"], [{"Key": "a", "Value": "b"}])
    iam.delete_saml_provider(SAMLProviderArn=saml)


def the_account(iam, account):
    alias = f"nines-{account}"
    iam.create_account_alias(AccountAlias=alias)
    check("alias", iam.list_account_aliases()["AccountAliases"], [alias])
    iam.delete_account_alias(AccountAlias=alias)
    check("no policy", code_of(iam.get_account_password_policy), "NoSuchEntity")
    iam.update_account_password_policy(MinimumPasswordLength=12, RequireNumbers=True)
    policy = iam.get_account_password_policy()["PasswordPolicy"]
    check("policy", (policy["MinimumPasswordLength"], policy["RequireNumbers"], policy["ExpirePasswords"]), (12, True, False))
    iam.delete_account_password_policy()
    check("summary", iam.get_account_summary()["SummaryMap"]["Users"], 0)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--endpoint", default="http://127.0.0.1:4566")
    endpoint = options.parse_args().endpoint
    account = str(random.randrange(10**11, 10**12))
    iam = client("iam", endpoint, account)
    checker = Checker(iam)
    try:
        users(iam, account)
        policies(iam)
        groups(iam)
        keys(iam, endpoint, account)
        providers(iam, account)
        the_account(iam, account)
    except botocore.exceptions.ClientError as error:
        failures.append(str(error))
    failures.extend(f"unknown to botocore: {path}" for path in sorted(checker.unknown))
    print("\n".join(failures) or "ok")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
