"""Capacity reservations, Spot requests, blocked public access, key pairs, templates of instances, KMS and SQS: answers and refusals; services that are not here.

    python tests/api/reservations.py --endpoint http://127.0.0.1:4566
"""

import argparse
import datetime
import random
import sys

import botocore.exceptions

from checks import check, failures, refused
from strict import Checker, client, code_of


def key_pairs(ec2):
    for kind, form, begin in (
        ({}, {}, "-----BEGIN RSA PRIVATE KEY-----"),
        ({"KeyType": "ed25519"}, {}, "-----BEGIN OPENSSH PRIVATE KEY-----"),
        ({"KeyType": "rsa"}, {"KeyFormat": "ppk"}, "PuTTY-User-Key-File-2: ssh-rsa"),
    ):
        made = ec2.create_key_pair(KeyName="k", **kind, **form)
        check("key", made["KeyMaterial"].splitlines()[0], begin)
        shown = ec2.describe_key_pairs(KeyNames=["k"])["KeyPairs"][0]
        check("fingerprint", (shown["KeyFingerprint"], shown["KeyType"]), (made["KeyFingerprint"], kind.get("KeyType", "rsa")))
        ec2.delete_key_pair(KeyName="k")


def capacity(ec2):
    base = dict(InstanceType="t3.micro", InstancePlatform="Linux/UNIX", AvailabilityZone="us-east-1a")
    create = lambda **more: ec2.create_capacity_reservation(**base, **more)["CapacityReservation"]
    made = create(InstanceCount=1, InstanceMatchCriteria="targeted", ClientToken="t")
    check("again", create(InstanceCount=1, InstanceMatchCriteria="targeted", ClientToken="t")["CapacityReservationId"], made["CapacityReservationId"])
    check("made", (made["State"], made["TotalInstanceCount"], made["EndDateType"]), ("active", 1, "unlimited"))
    targeted = made["CapacityReservationId"]
    subnet = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["us-east-1a"]}])["Subnets"][0]["SubnetId"]
    run = lambda **more: dict(ImageId="ami-0123456789abcdef0", InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=subnet, **more)
    target = {"CapacityReservationTarget": {"CapacityReservationId": targeted}}
    plain = ec2.run_instances(**run())["Instances"][0]
    check("not targeted", "CapacityReservationId" in plain, False)
    inside = ec2.run_instances(**run(CapacityReservationSpecification=target, UserData="#!/bin/sh"))["Instances"][0]
    check("inside", (inside["CapacityReservationId"], inside["CapacityReservationSpecification"]), (targeted, target))
    left = lambda: ec2.describe_capacity_reservations(CapacityReservationIds=[targeted])["CapacityReservations"][0]["AvailableInstanceCount"]
    check("left", left(), 0)
    used = ec2.get_capacity_reservation_usage(CapacityReservationId=targeted)["InstanceUsages"]
    check("used", [u["UsedInstanceCount"] for u in used], [1])
    data = ec2.get_launch_template_data(InstanceId=inside["InstanceId"])["LaunchTemplateData"]
    check("template", (data["InstanceType"], data["UserData"], data["CapacityReservationSpecification"]), ("t3.micro", "IyEvYmluL3No", target))
    ec2.create_launch_template(LaunchTemplateName="like", LaunchTemplateData={"InstanceType": data["InstanceType"], "UserData": data["UserData"]})
    refused(
        (ec2.run_instances, run(CapacityReservationSpecification=target), "ReservationCapacityExceeded"),
        (ec2.run_instances, run(CapacityReservationSpecification={"CapacityReservationTarget": {"CapacityReservationId": "cr-0123456789abcdef0"}}), "InvalidCapacityReservationId.NotFound"),
        (ec2.create_capacity_reservation, dict(base, InstanceCount=0), "InvalidParameterValue"),
        (ec2.create_capacity_reservation, dict(base, InstanceCount=1, EndDateType="limited"), "MissingParameter"),
        (ec2.create_capacity_reservation, dict(base, InstanceType="t9.none", InstanceCount=1), "InvalidParameterValue"),
        (ec2.modify_capacity_reservation, dict(CapacityReservationId=targeted, InstanceCount=0), "InvalidParameterValue"),
        (ec2.describe_capacity_reservations, dict(CapacityReservationIds=["cr-x"]), "InvalidCapacityReservationId.Malformed"),
    )
    ec2.modify_capacity_reservation(CapacityReservationId=targeted, InstanceCount=3)
    check("more", left(), 2)
    ec2.create_tags(Resources=[targeted], Tags=[{"Key": "a", "Value": "b"}])
    found = ec2.describe_capacity_reservations(Filters=[{"Name": "tag:a", "Values": ["b"]}, {"Name": "state", "Values": ["active"]}])
    check("by tag", [r["CapacityReservationId"] for r in found["CapacityReservations"]], [targeted])
    ec2.cancel_capacity_reservation(CapacityReservationId=targeted)
    check("twice", code_of(ec2.cancel_capacity_reservation, CapacityReservationId=targeted), "InvalidCapacityReservationState")
    shown = ec2.describe_instances(InstanceIds=[inside["InstanceId"]])["Reservations"][0]["Instances"][0]
    check("runs on", "CapacityReservationId" in shown, False)
    ec2.terminate_instances(InstanceIds=[plain["InstanceId"], inside["InstanceId"]])
    ec2.delete_launch_template(LaunchTemplateName="like")


def spot(ec2):
    image = "resolve:ssm:/aws/service/debian/release/12/latest/amd64"
    specification = {"ImageId": image, "InstanceType": "t3.micro", "KeyName": "k", "UserData": "IyEvYmluL3No"}
    refused(
        (ec2.request_spot_instances, dict(LaunchSpecification=specification), "InvalidKeyPair.NotFound"),
        (ec2.request_spot_instances, dict(SpotPrice="free", LaunchSpecification=specification), "InvalidParameterValue"),
        (ec2.request_spot_instances, dict(InstanceInterruptionBehavior="stop", LaunchSpecification=specification), "InvalidParameterCombination"),
        (ec2.describe_spot_price_history, {}, "UnsupportedOperation"),
        (ec2.describe_spot_instance_requests, dict(SpotInstanceRequestIds=["sir-00000000"]), "InvalidSpotInstanceRequestID.NotFound"),
    )
    del specification["KeyName"]
    tags = [{"ResourceType": "spot-instances-request", "Tags": [{"Key": "a", "Value": "b"}]}]
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    asked = dict(Type="persistent", SpotPrice="0.05", ValidFrom=later, ClientToken="once", TagSpecifications=tags, LaunchSpecification=specification)
    made = ec2.request_spot_instances(**asked)["SpotInstanceRequests"][0]
    check("open", (made["State"], made["SpotPrice"], made["Type"], made["Tags"]), ("open", "0.050000", "persistent", tags[0]["Tags"]))
    check("token", ec2.request_spot_instances(**asked)["SpotInstanceRequests"][0]["SpotInstanceRequestId"], made["SpotInstanceRequestId"])
    found = ec2.describe_spot_instance_requests(Filters=[{"Name": "launch.instance-type", "Values": ["t3.*"]}, {"Name": "tag:a", "Values": ["b"]}])
    shown = found["SpotInstanceRequests"][0]
    check("shown", (shown["SpotInstanceRequestId"], shown["LaunchSpecification"]["UserData"]), (made["SpotInstanceRequestId"], specification["UserData"]))
    cancelled = ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[made["SpotInstanceRequestId"]])["CancelledSpotInstanceRequests"]
    check("cancelled", cancelled, [{"SpotInstanceRequestId": made["SpotInstanceRequestId"], "State": "cancelled"}])
    market = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}
    launched = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, InstanceMarketOptions=market)["Instances"][0]
    own = ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[launched["SpotInstanceRequestId"]])["SpotInstanceRequests"][0]
    check("of a launch", (own["State"], own["Status"]["Code"], own["InstanceId"]), ("active", "fulfilled", launched["InstanceId"]))
    check("one-time", code_of(ec2.stop_instances, InstanceIds=[launched["InstanceId"]]), "UnsupportedOperation")
    ec2.terminate_instances(InstanceIds=[launched["InstanceId"]])


def public_access(ec2):
    options = ec2.describe_vpc_block_public_access_options()["VpcBlockPublicAccessOptions"]
    check("default", (options["State"], options["InternetGatewayBlockMode"]), ("default-state", "off"))
    ec2.modify_vpc_block_public_access_options(InternetGatewayBlockMode="block-ingress")
    options = ec2.describe_vpc_block_public_access_options()["VpcBlockPublicAccessOptions"]
    check("mode", options["InternetGatewayBlockMode"], "block-ingress")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    made = ec2.create_vpc_block_public_access_exclusion(VpcId=vpc, InternetGatewayExclusionMode="allow-egress")["VpcBlockPublicAccessExclusion"]
    check("exclusion", (made["State"], made["ResourceArn"].split("/")[-1]), ("create-in-progress", vpc))
    name = dict(ExclusionId=made["ExclusionId"])
    refused(
        (ec2.modify_vpc_block_public_access_options, dict(InternetGatewayBlockMode="on"), "InvalidParameterValue"),
        (ec2.create_vpc_block_public_access_exclusion, dict(InternetGatewayExclusionMode="allow-egress"), "MissingParameter"),
        (ec2.create_vpc_block_public_access_exclusion, dict(VpcId=vpc, InternetGatewayExclusionMode="allow-egress"), "InvalidParameterValue"),
        (ec2.modify_vpc_block_public_access_exclusion, dict(name, InternetGatewayExclusionMode="deny"), "InvalidParameterValue"),
    )
    ec2.modify_vpc_block_public_access_exclusion(**name, InternetGatewayExclusionMode="allow-bidirectional")
    found = ec2.describe_vpc_block_public_access_exclusions(ExclusionIds=[made["ExclusionId"]])["VpcBlockPublicAccessExclusions"]
    check("modified", [e["InternetGatewayExclusionMode"] for e in found], ["allow-bidirectional"])
    ec2.delete_vpc_block_public_access_exclusion(**name)
    check("deleted", code_of(ec2.delete_vpc_block_public_access_exclusion, **name), "InvalidVpcBlockPublicAccessExclusionId.NotFound")
    ec2.modify_vpc_block_public_access_options(InternetGatewayBlockMode="off")


def kms(kms):
    managed = kms.describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]
    check("AWS's", (managed["KeyManager"], managed["Enabled"]), ("AWS", True))
    check("the same again", kms.describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]["Arn"], managed["Arn"])
    aliases = {a["AliasName"]: a.get("TargetKeyId") for a in kms.get_paginator("list_aliases").paginate().search("Aliases")}
    check("its alias", (aliases["alias/aws/ebs"], aliases["alias/aws/s3"]), (managed["KeyId"], None))
    key = kms.create_key(Description="d", Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]
    kms.create_alias(AliasName="alias/mine", TargetKeyId=key["KeyId"])
    sealed = kms.encrypt(KeyId="alias/mine", Plaintext=b"secret", EncryptionContext={"a": "b"})
    opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext={"a": "b"})
    check("opened", (opened["Plaintext"], opened["KeyId"]), (b"secret", key["Arn"]))
    check("context", code_of(kms.decrypt, CiphertextBlob=sealed["CiphertextBlob"]), "InvalidCiphertextException")
    data = kms.generate_data_key(KeyId=key["Arn"], KeySpec="AES_256")
    check("data key", kms.decrypt(CiphertextBlob=data["CiphertextBlob"])["Plaintext"], data["Plaintext"])
    check("aliases", [a["AliasName"] for a in kms.list_aliases(KeyId=key["KeyId"])["Aliases"]], ["alias/mine"])
    check("tags", kms.list_resource_tags(KeyId=key["KeyId"])["Tags"], [{"TagKey": "a", "TagValue": "b"}])
    kms.enable_key_rotation(KeyId=key["KeyId"])
    check("rotation", kms.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"], True)
    check("policy", "kms:*" in kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"], True)
    kms.disable_key(KeyId=key["KeyId"])
    check("disabled", code_of(kms.encrypt, KeyId=key["KeyId"], Plaintext=b"x"), "DisabledException")
    kms.enable_key(KeyId=key["KeyId"])
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    check("state", kms.describe_key(KeyId="alias/mine")["KeyMetadata"]["KeyState"], "PendingDeletion")
    check("keys", {k["KeyId"] for k in kms.list_keys()["Keys"]}, {key["KeyId"], managed["KeyId"]})
    refused(
        (kms.describe_key, dict(KeyId="alias/none"), "NotFoundException"),
        (kms.describe_key, dict(KeyId="00000000-0000-0000-0000-000000000000"), "NotFoundException"),
        (kms.encrypt, dict(KeyId=key["KeyId"], Plaintext=b"x"), "KMSInvalidStateException"),
        (kms.create_key, dict(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY"), "UnsupportedOperationException"),
        (kms.create_alias, dict(AliasName="mine", TargetKeyId=key["KeyId"]), "ValidationException"),
    )
    kms.delete_alias(AliasName="alias/mine")


def queues(sqs):
    url = sqs.create_queue(QueueName="q", Attributes={"DelaySeconds": "5"}, tags={"a": "b"})["QueueUrl"]
    check("again", sqs.create_queue(QueueName="q")["QueueUrl"], url)
    check("otherwise", code_of(sqs.create_queue, QueueName="q", Attributes={"DelaySeconds": "6"}), "QueueAlreadyExists")
    check("url", sqs.get_queue_url(QueueName="q")["QueueUrl"], url)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "60"})
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    check("attributes", (shown["DelaySeconds"], shown["VisibilityTimeout"], shown["QueueArn"].split(":")[-1]), ("5", "60", "q"))
    sqs.tag_queue(QueueUrl=url, Tags={"c": "d"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["a"])
    check("tags", sqs.list_queue_tags(QueueUrl=url)["Tags"], {"c": "d"})
    check("listed", sqs.list_queues(QueueNamePrefix="q")["QueueUrls"], [url])
    sqs.delete_queue(QueueUrl=url)
    refused(
        (sqs.get_queue_url, dict(QueueName="q"), "AWS.SimpleQueueService.NonExistentQueue"),
        (sqs.create_queue, dict(QueueName="a b"), "InvalidParameterValue"),
        (sqs.create_queue, dict(QueueName="q", Attributes={"DelaySeconds": "901"}), "InvalidAttributeValue"),
        (sqs.send_message, dict(QueueUrl=url, MessageBody="x"), "UnknownOperationException"),
    )


# One for each protocol.
ABSENT = {"cloudformation": "list_stacks", "dynamodb": "list_tables", "fis": "list_experiments", "cloudfront": "list_distributions"}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--endpoint", default="http://127.0.0.1:4566")
    endpoint = options.parse_args().endpoint
    account = str(random.randrange(10**11, 10**12))
    clients = {name: client(name, endpoint, account) for name in ("ec2", "kms", "sqs")}
    checkers = [Checker(c) for c in clients.values()]
    for part, name in ((key_pairs, "ec2"), (capacity, "ec2"), (spot, "ec2"), (public_access, "ec2"), (kms, "kms"), (queues, "sqs")):
        try:
            part(clients[name])
        except botocore.exceptions.ClientError as error:
            failures.append(f"{part.__name__}: {error}")
    refused(*((getattr(client(name, endpoint, account), call), {}, "UnsupportedOperation") for name, call in ABSENT.items()))
    for checker in checkers:
        failures.extend(f"unknown to botocore: {path}" for path in sorted(checker.unknown))
    print("\n".join(failures) or "ok")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
