"""Instances, launch templates, images, IAM, STS and SSM against a running endpoint.

    python tests/api/ec2_compute.py --endpoint http://127.0.0.1:4566

Uses an account of its own, whose random number keeps runs apart. Instances must
come to run: the endpoint needs its controllers, or the stand-in of the api
crate's `serve` example.
"""

import argparse
import base64
import json
import random
import sys
import time

from checks import check, failures
from strict import Checker, client, code_of


ED25519 = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINhLMy2bJVM17gjWU3JzjyEbMabSTbKIErUNIMNsP2Se someone"
MAY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
NOBODY = "i-0123456789abcdef0"


def tags(kind, **pairs):
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in pairs.items()]}]


def by(name, *values):
    return [{"Name": name, "Values": list(values)}]


def refused(cases):
    for call, arguments, code in cases:
        check(f"{call.__name__} {arguments}", code_of(call, **arguments), code)


def until(what, call, wanted, seconds=120):
    """Polls until `call` answers `wanted`."""
    deadline = time.monotonic() + seconds
    while (got := call()) != wanted:
        if time.monotonic() > deadline:
            check(what, got, wanted)
            return
        time.sleep(0.2)


def own_images(ec2, instance, volume):
    """An image of a running instance, one registered of its snapshot, and both taken back."""
    made = ec2.create_image(InstanceId=instance, Name="baked (1)", NoReboot=True, TagSpecifications=tags("image", Name="baked"))["ImageId"]
    state = lambda: ec2.describe_images(ImageIds=[made])["Images"][0]["State"]
    until("an image is available", state, "available")
    image = ec2.describe_images(Owners=["self"], Filters=by("name", "baked*"))["Images"][0]
    check("its tags", image["Tags"], [{"Key": "Name", "Value": "baked"}])
    check("it is private", image["Public"], False)
    snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    described = ec2.describe_snapshots(SnapshotIds=[snapshot], OwnerIds=["self"])["Snapshots"][0]
    check("its snapshot", (described["State"], described["Progress"], described["VolumeId"]), ("completed", "100%", volume))
    mapping = [{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot, "VolumeSize": 20}}]
    registered = ec2.register_image(Name="registered", RootDeviceName="/dev/sda1", BlockDeviceMappings=mapping)["ImageId"]
    check("its size", ec2.describe_images(ImageIds=[registered])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"], 20)
    refused(
        [
            (ec2.create_image, dict(InstanceId=instance, Name="baked (1)"), "InvalidAMIName.Duplicate"),
            (ec2.create_image, dict(InstanceId=instance, Name="x!"), "InvalidAMIName.Malformed"),
            (ec2.create_image, dict(InstanceId=NOBODY, Name="other"), "InvalidInstanceID.NotFound"),
            (ec2.register_image, dict(Name="other", RootDeviceName="/dev/sda1"), "MissingParameter"),
            (ec2.delete_snapshot, dict(SnapshotId=snapshot), "InvalidSnapshot.InUse"),
        ]
    )
    for one in (made, registered):
        ec2.deregister_image(ImageId=one)
        check("it is no more", code_of(ec2.describe_images, ImageIds=[one]), "InvalidAMIID.NotFound")
        check("nor twice", code_of(ec2.deregister_image, ImageId=one), "InvalidAMIID.NotFound")
    ec2.delete_snapshot(SnapshotId=snapshot)
    check("nor its snapshot", code_of(ec2.describe_snapshots, SnapshotIds=[snapshot]), "InvalidSnapshot.NotFound")


def images(ec2, ssm):
    def newest(**arguments):
        found = ec2.describe_images(**arguments)["Images"]
        return max(found, key=lambda i: i["CreationDate"])

    debian = newest(Owners=["136693071363"], Filters=by("name", "debian-12-amd64-*"))
    check("its root device", debian["RootDeviceName"], "/dev/xvda")
    check("its state", (debian["State"], debian["Public"]), ("available", True))
    amazon = newest(Owners=["amazon"], Filters=by("name", "al2023-ami-2023.*-x86_64"))
    check("its owner", (amazon["OwnerId"], amazon["ImageOwnerAlias"]), ("137112412989", "amazon"))
    check("IMDSv2 only", amazon["ImdsSupport"], "v2.0")
    name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    parameter = ssm.get_parameter(Name=name)["Parameter"]
    check("the public parameter", parameter["Value"], amazon["ImageId"])
    check("not the caller's to take back", code_of(ec2.deregister_image, ImageId=amazon["ImageId"]), "AuthFailure")
    check("nor one that is none", code_of(ec2.deregister_image, ImageId="ami-0123456789abcdef0"), "InvalidAMIID.NotFound")
    several = ssm.get_parameters(Names=[name, "/nothing"])
    check("one is not known", several["InvalidParameters"], ["/nothing"])
    path = "/aws/service/ami-amazon-linux-latest"
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=path)
    names = [p["Name"] for page in pages for p in page["Parameters"]]
    check("found by path", (name in names, len(names) == len(set(names)) > 10), (True, True))
    check("nobody's own", ec2.describe_images(Owners=["self"])["Images"], [])
    refused(
        [
            (ec2.describe_images, dict(ImageIds=["ami-x"]), "InvalidAMIID.Malformed"),
            (ec2.describe_images, dict(Filters=by("nothing", "x")), "InvalidParameterValue"),
            (ssm.get_parameter, dict(Name="/nothing"), "ParameterNotFound"),
        ]
    )
    return debian["ImageId"], amazon["ImageId"]


def instance_types(ec2):
    kind = ec2.describe_instance_types(InstanceTypes=["t3.micro"])["InstanceTypes"][0]
    check("vCPUs", kind["VCpuInfo"]["DefaultVCpus"], 2)
    check("memory", kind["MemoryInfo"]["SizeInMiB"], 1024)
    check("bursts", kind["BurstablePerformanceSupported"], True)
    pages = ec2.get_paginator("describe_instance_types").paginate(
        Filters=by("processor-info.supported-architecture", "arm64"), PaginationConfig={"PageSize": 7}
    )
    names = [t["InstanceType"] for page in pages for t in page["InstanceTypes"]]
    check("arm types", ("t4g.micro" in names, "t3.micro" in names), (True, False))
    offered = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=by("instance-type", "t3.micro")
    )["InstanceTypeOfferings"]
    check("offered in", len(offered), 5)
    refused([(ec2.describe_instance_types, dict(InstanceTypes=["t9.x"]), "InvalidInstanceType")])


def identities(iam, sts, account):
    check("who", sts.get_caller_identity()["Account"], account)
    role = iam.create_role(RoleName="web", AssumeRolePolicyDocument=TRUST)["Role"]
    check("its policy", role["AssumeRolePolicyDocument"], json.loads(TRUST))
    managed = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    iam.attach_role_policy(RoleName="web", PolicyArn=managed)
    iam.put_role_policy(RoleName="web", PolicyName="own", PolicyDocument=MAY)
    policy = iam.create_policy(PolicyName="mine", PolicyDocument=MAY)["Policy"]["Arn"]
    iam.create_policy_version(PolicyArn=policy, PolicyDocument=MAY, SetAsDefault=True)
    check("the default", iam.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"], "v2")
    check("versions", len(iam.list_policy_versions(PolicyArn=policy)["Versions"]), 2)
    iam.get_policy_version(PolicyArn=policy, VersionId="v1")
    iam.attach_role_policy(RoleName="web", PolicyArn=policy)
    attached = iam.list_attached_role_policies(RoleName="web")["AttachedPolicies"]
    check("attached", {p["PolicyArn"] for p in attached}, {managed, policy})
    check("inline", iam.list_role_policies(RoleName="web")["PolicyNames"], ["own"])
    check("read", iam.get_role_policy(RoleName="web", PolicyName="own")["PolicyDocument"], json.loads(MAY))
    check("users", len(iam.list_entities_for_policy(PolicyArn=policy)["PolicyRoles"]), 1)
    iam.create_instance_profile(InstanceProfileName="web", Tags=[{"Key": "a", "Value": "b"}])
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")
    profile = iam.get_instance_profile(InstanceProfileName="web")["InstanceProfile"]
    check("its role", [r["RoleName"] for r in profile["Roles"]], ["web"])
    check("for the role", len(iam.list_instance_profiles_for_role(RoleName="web")["InstanceProfiles"]), 1)
    assumed = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="me")
    check("session", assumed["AssumedRoleUser"]["Arn"], f"arn:aws:sts::{account}:assumed-role/web/me")
    sts.get_session_token()
    linked = iam.create_service_linked_role(AWSServiceName="elasticloadbalancing.amazonaws.com")["Role"]
    task = iam.delete_service_linked_role(RoleName=linked["RoleName"])["DeletionTaskId"]
    check("task", iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"], "SUCCEEDED")
    iam.update_role(RoleName="web", Description="the web", MaxSessionDuration=7200)
    iam.tag_role(RoleName="web", Tags=[{"Key": "a", "Value": "b"}])
    check("tags", iam.list_role_tags(RoleName="web")["Tags"], [{"Key": "a", "Value": "b"}])
    check("roles", [r["RoleName"] for r in iam.list_roles()["Roles"]], ["web"])
    iam.list_policies(Scope="AWS")
    refused(
        [
            (iam.get_role, dict(RoleName="nobody"), "NoSuchEntity"),
            (iam.create_role, dict(RoleName="Web", AssumeRolePolicyDocument=TRUST), "EntityAlreadyExists"),
            (iam.create_role, dict(RoleName="w b", AssumeRolePolicyDocument=TRUST), "ValidationError"),
            (iam.create_role, dict(RoleName="x", AssumeRolePolicyDocument="{"), "MalformedPolicyDocument"),
            (iam.attach_role_policy, dict(RoleName="web", PolicyArn="arn:aws:iam::aws:policy/None"), "NoSuchEntity"),
            (iam.delete_role, dict(RoleName="web"), "DeleteConflict"),
            (iam.delete_policy, dict(PolicyArn=policy), "DeleteConflict"),
            (iam.delete_instance_profile, dict(InstanceProfileName="web"), "DeleteConflict"),
            (iam.add_role_to_instance_profile, dict(InstanceProfileName="web", RoleName="web"), "LimitExceeded"),
            (iam.delete_policy_version, dict(PolicyArn=policy, VersionId="v2"), "DeleteConflict"),
            (sts.assume_role, dict(RoleArn="arn:aws:iam::1:role/x", RoleSessionName="me"), "AccessDenied"),
        ]
    )

    def remove():
        iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="web")
        iam.delete_instance_profile(InstanceProfileName="web")
        iam.detach_role_policy(RoleName="web", PolicyArn=managed)
        iam.detach_role_policy(RoleName="web", PolicyArn=policy)
        iam.delete_role_policy(RoleName="web", PolicyName="own")
        iam.delete_role(RoleName="web")
        iam.delete_policy_version(PolicyArn=policy, VersionId="v1")
        iam.delete_policy(PolicyArn=policy)
        check("roles left", iam.list_roles()["Roles"], [])

    return remove


def key_pairs(ec2):
    imported = ec2.import_key_pair(KeyName="deploy", PublicKeyMaterial=ED25519)
    print_ = "YC5ZZZzsApyBuNLAjwB7j/KFvkhEr6d0PDvXBX7m8xY="
    check("its fingerprint", imported["KeyFingerprint"], print_)
    made = ec2.create_key_pair(KeyName="made", KeyType="ed25519")
    check("a private key", made["KeyMaterial"].splitlines()[0], "-----BEGIN OPENSSH PRIVATE KEY-----")
    pairs = ec2.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
    check("pairs", [(p["KeyName"], p["KeyType"]) for p in pairs], [("deploy", "ed25519"), ("made", "ed25519")])
    ec2.delete_key_pair(KeyName="made")
    refused(
        [
            (ec2.create_key_pair, dict(KeyName="deploy", KeyType="ed25519"), "InvalidKeyPair.Duplicate"),
            (ec2.create_key_pair, dict(KeyName="r", KeyType="dsa"), "InvalidParameterValue"),
            (ec2.import_key_pair, dict(KeyName="x", PublicKeyMaterial=b"ssh-rsa AAAA"), "InvalidKey.Format"),
            (ec2.describe_key_pairs, dict(KeyNames=["made"]), "InvalidKeyPair.NotFound"),
        ]
    )


def launch_templates(ec2, image, group):
    data = {
        "ImageId": image,
        "InstanceType": "t3.micro",
        "KeyName": "deploy",
        "UserData": base64.b64encode(b"#!/bin/sh\n").decode(),
        "IamInstanceProfile": {"Name": "web"},
        "Monitoring": {"Enabled": True},
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 12, "VolumeType": "gp3"}}],
        "NetworkInterfaces": [
            {"DeviceIndex": 0, "AssociatePublicIpAddress": True, "Groups": [group], "DeleteOnTermination": True}
        ],
        "TagSpecifications": tags("instance", Name="web") + tags("volume", Name="web"),
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        "CreditSpecification": {"CpuCredits": "standard"},
        "PrivateDnsNameOptions": {"EnableResourceNameDnsAAAARecord": False, "HostnameType": "ip-name"},
        "Placement": {"Tenancy": "default"},
        "MaintenanceOptions": {"AutoRecovery": "default"},
        "CapacityReservationSpecification": {"CapacityReservationPreference": "open"},
    }
    made = ec2.create_launch_template(
        LaunchTemplateName="web",
        VersionDescription="first",
        LaunchTemplateData=data,
        TagSpecifications=tags("launch-template", a="b"),
        ClientToken="once",
    )["LaunchTemplate"]
    again = ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data, ClientToken="once")
    check("once only", again["LaunchTemplate"]["LaunchTemplateId"], made["LaunchTemplateId"])
    named = dict(LaunchTemplateName="web")
    versions = ec2.describe_launch_template_versions(**named)["LaunchTemplateVersions"]
    check("kept as given", versions[0]["LaunchTemplateData"], data)
    added = ec2.create_launch_template_version(
        **named, SourceVersion="1", LaunchTemplateData={"InstanceType": "t3.nano"}
    )["LaunchTemplateVersion"]
    check("copied", (added["VersionNumber"], added["LaunchTemplateData"]["ImageId"]), (2, image))
    ec2.create_launch_template_version(**named, LaunchTemplateData={"InstanceType": "t3.nano"})

    def number(version):
        found = ec2.describe_launch_template_versions(**named, Versions=[version])
        return found["LaunchTemplateVersions"][0]["VersionNumber"]

    check("$Default, $Latest", (number("$Default"), number("$Latest")), (1, 3))
    ec2.modify_launch_template(**named, DefaultVersion="2")
    check("$Default", number("$Default"), 2)
    gone = ec2.delete_launch_template_versions(**named, Versions=["3", "2", "7"])
    check("deleted", [v["VersionNumber"] for v in gone["SuccessfullyDeletedLaunchTemplateVersions"]], [3])
    check("not deleted", len(gone["UnsuccessfullyDeletedLaunchTemplateVersions"]), 2)
    check("$Latest", number("$Latest"), 2)
    added = ec2.create_launch_template_version(**named, LaunchTemplateData={"InstanceType": "t3.nano"})
    check("never again", added["LaunchTemplateVersion"]["VersionNumber"], 4)
    known = ec2.describe_launch_templates(Filters=by("tag:a", "b"))["LaunchTemplates"]
    check("by tag", [t["LaunchTemplateName"] for t in known], ["web"])
    wanted = {
        "VCpuCount": {"Min": 2, "Max": 8},
        "MemoryMiB": {"Min": 2048},
        "MemoryGiBPerVCpu": {"Min": 1.5, "Max": 8.0},
        "CpuManufacturers": ["intel", "amd"],
        "ExcludedInstanceTypes": ["c5.large", "m5*"],
        "InstanceGenerations": ["current"],
        "BurstablePerformance": "included",
        "LocalStorage": "excluded",
        "TotalLocalStorageGB": {"Min": 0.0},
        "OnDemandMaxPricePercentageOverLowestPrice": 20,
    }
    # Not in the one that is launched: a one-time Spot Instance cannot be stopped.
    market = {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.1"}}
    attributes = {"ImageId": image, "InstanceRequirements": wanted, "InstanceMarketOptions": market}
    ec2.create_launch_template(LaunchTemplateName="any", LaunchTemplateData=attributes)
    versions = ec2.describe_launch_template_versions(LaunchTemplateName="any")["LaunchTemplateVersions"]
    check("requirements", versions[0]["LaunchTemplateData"], attributes)
    any_ = dict(LaunchTemplate={"LaunchTemplateName": "any"}, MinCount=1, MaxCount=1)
    check("without a type", code_of(ec2.run_instances, **any_), "InvalidParameterCombination")
    unknown = dict(LaunchTemplateId="lt-0123456789abcdef0")
    long = base64.b64encode(b"x" * 16385).decode()
    both = dict(named, LaunchTemplateId=made["LaunchTemplateId"])
    refused(
        [
            (ec2.create_launch_template, dict(named, LaunchTemplateData={"KeyName": "k"}), "InvalidLaunchTemplateName.AlreadyExistsException"),
            (ec2.create_launch_template, dict(LaunchTemplateName="a b", LaunchTemplateData={"KeyName": "k"}), "InvalidLaunchTemplateName.MalformedException"),
            (ec2.create_launch_template, dict(LaunchTemplateName="long", LaunchTemplateData={"UserData": long}), "InvalidParameterValue"),
            (ec2.create_launch_template, dict(LaunchTemplateName="bad", LaunchTemplateData={"UserData": "%%%"}), "InvalidUserData.Malformed"),
            (ec2.describe_launch_template_versions, dict(named, Versions=["9"]), "InvalidLaunchTemplateId.VersionNotFound"),
            (ec2.describe_launch_template_versions, unknown, "InvalidLaunchTemplateId.NotFound"),
            (ec2.describe_launch_templates, dict(LaunchTemplateNames=["none"]), "InvalidLaunchTemplateName.NotFoundException"),
            (ec2.delete_launch_template, dict(LaunchTemplateId="x"), "InvalidLaunchTemplateId.Malformed"),
            (ec2.delete_launch_template, both, "InvalidParameterCombination"),
            (ec2.delete_launch_template, {}, "MissingParameter"),
        ]
    )


def launches(ec2, image, amazon, group, subnet):
    ok = dict(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    refused(
        [
            (ec2.run_instances, dict(ok, ImageId="x"), "InvalidAMIID.Malformed"),
            (ec2.run_instances, dict(ok, InstanceType="t9.micro"), "InvalidParameterValue"),
            (ec2.run_instances, dict(ok, InstanceType="t4g.micro"), "InvalidParameterValue"),
            (ec2.run_instances, dict(ok, SubnetId="subnet-0123456789abcdef0"), "InvalidSubnetID.NotFound"),
            (ec2.run_instances, dict(ok, SecurityGroupIds=["sg-0123456789abcdef0"]), "InvalidGroup.NotFound"),
            (ec2.run_instances, dict(ok, KeyName="none"), "InvalidKeyPair.NotFound"),
            (ec2.run_instances, dict(ok, IamInstanceProfile={"Name": "none"}), "InvalidParameterValue"),
            (ec2.run_instances, dict(ok, UserData="x" * 16385), "InvalidParameterValue"),
            (ec2.run_instances, dict(ok, MinCount=2), "InvalidParameterValue"),
            (ec2.run_instances, dict(ok, MinCount=9999, MaxCount=9999), "VcpuLimitExceeded"),
            (ec2.run_instances, dict(ok, Placement={"AvailabilityZone": "us-east-1e"}), "Unsupported"),
            (ec2.run_instances, dict(ok, Placement={"AvailabilityZone": "nowhere"}), "InvalidParameterValue"),
            (ec2.run_instances, dict(ok, SubnetId=subnet, NetworkInterfaces=[{"DeviceIndex": 0}]), "InvalidParameterCombination"),
            (ec2.run_instances, dict(ok, SecurityGroupIds=[group], NetworkInterfaces=[{"DeviceIndex": 0}]), "InvalidParameterCombination"),
            (ec2.run_instances, dict(ok, SubnetId=subnet, PrivateIpAddress="10.9.9.9"), "InvalidParameterValue"),
            (ec2.run_instances, dict(ok, BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 1}}]), "InvalidBlockDeviceMapping"),
            (ec2.run_instances, dict(ok, BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 9, "VolumeType": "tape"}}]), "InvalidParameterValue"),
            (ec2.run_instances, dict(ok, InstanceType="m5.large", CreditSpecification={"CpuCredits": "standard"}), "InvalidParameterCombination"),
            (ec2.run_instances, dict(ok, LaunchTemplate={"LaunchTemplateName": "none"}), "InvalidLaunchTemplateName.NotFoundException"),
            (ec2.run_instances, dict(ok, DryRun=True), "DryRunOperation"),
            (ec2.run_instances, dict(MinCount=1, MaxCount=1, InstanceType="t3.micro"), "MissingParameter"),
            (ec2.run_instances, dict(ImageId=image), "MissingParameter"),
            (ec2.terminate_instances, dict(InstanceIds=[NOBODY]), "InvalidInstanceID.NotFound"),
            (ec2.terminate_instances, dict(InstanceIds=["x"]), "InvalidInstanceID.Malformed"),
            (ec2.terminate_instances, {}, "MissingParameter"),
        ]
    )
    check("nothing launched", ec2.describe_instances()["Reservations"], [])

    two = dict(ok, MaxCount=2, MinCount=2, SubnetId=subnet, SecurityGroupIds=[group], ClientToken="two")
    run = ec2.run_instances(**two, TagSpecifications=tags("instance", Name="two") + tags("volume", v="1"))
    check("once only", ec2.run_instances(**two)["ReservationId"], run["ReservationId"])
    check("other parameters", code_of(ec2.run_instances, **dict(two, MinCount=1, MaxCount=1)), "IdempotentParameterMismatch")
    check("pending", {i["State"]["Name"] for i in run["Instances"]}, {"pending"})
    check("indices", [i["AmiLaunchIndex"] for i in run["Instances"]], [0, 1])
    check("public", len({i["PublicIpAddress"] for i in run["Instances"]}), 2)
    one = ec2.run_instances(LaunchTemplate={"LaunchTemplateName": "web", "Version": "1"}, MinCount=1, MaxCount=1)
    one = one["Instances"][0]
    check("from the template", (one["InstanceType"], one["KeyName"]), ("t3.micro", "deploy"))
    check("its version", {t["Key"]: t["Value"] for t in one["Tags"]}["aws:ec2launchtemplate:version"], "1")
    check("IMDSv2", one["MetadataOptions"]["HttpTokens"], "required")
    linux = ec2.run_instances(**dict(ok, ImageId=amazon, NetworkInterfaces=[{"DeviceIndex": 0, "AssociatePublicIpAddress": False, "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": "172.31.0.200"}], "SubnetId": subnet, "SecondaryPrivateIpAddressCount": 1}]))["Instances"][0]
    check("IMDSv2 of the image", linux["MetadataOptions"]["HttpTokens"], "required")
    check("no public address", linux.get("PublicIpAddress"), None)
    check("addresses", len(linux["NetworkInterfaces"][0]["PrivateIpAddresses"]), 2)
    ids = [i["InstanceId"] for i in run["Instances"] + [one, linux]]
    running = lambda: {i["State"]["Name"] for r in ec2.describe_instances(InstanceIds=ids)["Reservations"] for i in r["Instances"]}
    until("all run", running, {"running"})
    return ids, one["InstanceId"]


def lives(ec2, ids, one):
    for filter_, count in [
        (by("tag:Name", "tw*"), 2),
        (by("instance-state-name", "running"), 4),
        (by("key-name", "deploy"), 1),
        (by("private-ip-address", "172.31.0.200"), 1),
        (by("iam-instance-profile.name", "web"), 1),
        (by("tag:Name", "two") + by("instance-state-code", "80"), 0),
    ]:
        found = ec2.describe_instances(Filters=filter_)["Reservations"]
        check(f"{filter_}", sum(len(r["Instances"]) for r in found), count)
    pages = ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5})
    check("pages", sum(len(r["Instances"]) for p in pages for r in p["Reservations"]), 4)
    status = ec2.describe_instance_status(InstanceIds=[one])["InstanceStatuses"][0]
    check("the system", status["SystemStatus"]["Status"], "ok")
    for attribute in [
        "instanceType", "kernel", "ramdisk", "userData", "disableApiTermination", "disableApiStop",
        "instanceInitiatedShutdownBehavior", "rootDeviceName", "blockDeviceMapping", "productCodes",
        "sourceDestCheck", "groupSet", "ebsOptimized", "sriovNetSupport", "enaSupport", "enclaveOptions",
    ]:  # fmt: skip
        ec2.describe_instance_attribute(InstanceId=one, Attribute=attribute)
    here = dict(InstanceId=one)
    ec2.modify_instance_attribute(**here, DisableApiTermination={"Value": True})
    ec2.modify_instance_attribute(**here, SourceDestCheck={"Value": False})
    ec2.modify_instance_metadata_options(**here, HttpTokens="optional", InstanceMetadataTags="enabled")
    monitoring = lambda call: call(InstanceIds=[one])["InstanceMonitorings"][0]["Monitoring"]["State"]
    told = [monitoring(call) for call in (ec2.unmonitor_instances, ec2.unmonitor_instances, ec2.monitor_instances)]
    check("monitoring is told as it changes", told, ["disabling", "disabled", "pending"])
    ec2.modify_instance_maintenance_options(**here, AutoRecovery="disabled")
    ec2.modify_instance_credit_specification(
        InstanceCreditSpecifications=[{"InstanceId": i, "CpuCredits": "unlimited"} for i in (one, NOBODY)]
    )
    credits = ec2.describe_instance_credit_specifications(InstanceIds=[one])["InstanceCreditSpecifications"]
    check("credits", credits[0]["CpuCredits"], "unlimited")
    ec2.get_console_output(**here)
    volumes = ec2.describe_volumes(Filters=by("attachment.instance-id", one))["Volumes"]
    check("its volume", [(v["Size"], v["VolumeType"], v["State"]) for v in volumes], [(12, "gp3", "in-use")])
    own_images(ec2, one, volumes[0]["VolumeId"])
    profile = ec2.describe_iam_instance_profile_associations(Filters=by("instance-id", one))
    profile = profile["IamInstanceProfileAssociations"][0]["AssociationId"]
    replaced = ec2.replace_iam_instance_profile_association(AssociationId=profile, IamInstanceProfile={"Name": "web"})
    ec2.disassociate_iam_instance_profile(AssociationId=replaced["IamInstanceProfileAssociation"]["AssociationId"])
    ec2.associate_iam_instance_profile(**here, IamInstanceProfile={"Name": "web"})
    refused(
        [
            (ec2.terminate_instances, dict(InstanceIds=[one]), "OperationNotPermitted"),
            (ec2.modify_instance_attribute, dict(here, InstanceType={"Value": "t3.nano"}), "IncorrectInstanceState"),
            (ec2.modify_instance_attribute, dict(here, UserData={"Value": b"x"}), "IncorrectInstanceState"),
            (ec2.modify_instance_metadata_options, dict(here, HttpPutResponseHopLimit=65), "InvalidParameterValue"),
            (ec2.describe_instance_attribute, dict(here, Attribute="x"), "InvalidParameterValue"),
            (ec2.start_instances, dict(InstanceIds=[NOBODY]), "InvalidInstanceID.NotFound"),
            (ec2.stop_instances, dict(InstanceIds=[one], Hibernate=True), "UnsupportedOperation"),
            (ec2.associate_iam_instance_profile, dict(here, IamInstanceProfile={"Name": "web"}), "IncorrectState"),
            (ec2.disassociate_iam_instance_profile, dict(AssociationId="iip-assoc-x"), "NoSuchAssociation"),
            (ec2.get_instance_uefi_data, here, "UnsupportedOperation"),
            (ec2.describe_instances, dict(Filters=by("nothing", "x")), "InvalidParameterValue"),
            (ec2.describe_instances, dict(InstanceIds=[NOBODY]), "InvalidInstanceID.NotFound"),
        ]
    )
    state = lambda: ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]["State"]["Name"]
    stopping = ec2.stop_instances(InstanceIds=[one])["StoppingInstances"][0]
    check("stopping", stopping["CurrentState"]["Name"], "stopping")
    until("stopped", state, "stopped")
    ec2.modify_instance_attribute(**here, InstanceType={"Value": "t3.small"})
    ec2.modify_instance_attribute(**here, UserData={"Value": b"#!/bin/sh\nexit"})
    starting = ec2.start_instances(InstanceIds=[one])["StartingInstances"][0]
    check("starting", starting["CurrentState"]["Name"], "pending")
    until("running", state, "running")
    ec2.reboot_instances(InstanceIds=[one])
    ec2.modify_instance_attribute(**here, Attribute="disableApiTermination", Value="false")
    ending = ec2.terminate_instances(InstanceIds=ids)["TerminatingInstances"]
    check("ending", {e["CurrentState"]["Name"] for e in ending}, {"shutting-down"})
    until("terminated", state, "terminated")
    ended = ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]
    check("why", ended["StateReason"]["Code"], "Client.UserInitiatedShutdown")
    until("no interface", lambda: ec2.describe_network_interfaces()["NetworkInterfaces"], [])
    until("no volume", lambda: ec2.describe_volumes()["Volumes"], [])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    endpoint = parser.parse_args().endpoint
    account = f"{random.randrange(10**11, 10**12)}"
    began = time.monotonic()
    clients = {name: client(name, endpoint, account) for name in ("ec2", "iam", "sts", "ssm")}
    checkers = [Checker(c) for c in clients.values()]
    ec2, iam, sts, ssm = clients.values()
    image, amazon = images(ec2, ssm)
    instance_types(ec2)
    remove_identities = identities(iam, sts, account)
    key_pairs(ec2)
    group = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    subnet = ec2.describe_subnets(Filters=by("availability-zone", "us-east-1a"))["Subnets"][0]["SubnetId"]
    launch_templates(ec2, image, group)
    lives(ec2, *launches(ec2, image, amazon, group, subnet))
    stranger = client("ec2", endpoint, f"{int(account) - 1}")
    check("another account", code_of(stranger.delete_launch_template, LaunchTemplateName="web"), "InvalidLaunchTemplateName.NotFoundException")
    for template in ec2.describe_launch_templates()["LaunchTemplates"]:
        ec2.delete_launch_template(LaunchTemplateId=template["LaunchTemplateId"])
    ec2.delete_key_pair(KeyName="deploy")
    remove_identities()
    for checker in checkers:
        failures.extend(f"not in botocore's model: {u}" for u in sorted(checker.unknown))
    for failure in failures:
        print(failure)
    calls = sum(n for checker in checkers for n in checker.calls.values())
    actions = sum(len(checker.calls) for checker in checkers)
    seconds = time.monotonic() - began
    print(f"{calls} calls of {actions} actions in {seconds:.1f} s, {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
