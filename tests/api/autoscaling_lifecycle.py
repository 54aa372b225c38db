"""Auto Scaling's launch configurations, schedules, hooks, pools, notifications and zonal shifts.

    python tests/api/autoscaling_lifecycle.py --endpoint http://127.0.0.1:4566

Uses an account of its own, whose random number keeps runs apart. Groups keep a
desired capacity of 0, so it runs with controllers behind the endpoint or without.
"""

import argparse
import datetime
import random
import sys

from autoscaling import Stack, message_of, one
from checks import check, failures
from strict import Checker, client, code_of

GROUP = {"AutoScalingGroupName": "web"}


def launch_configurations(c, stack, ec2):
    image = ec2.describe_images(Owners=["amazon"], Filters=[{"Name": "architecture", "Values": ["x86_64"]}])["Images"][0]["ImageId"]
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    basis = {"ImageId": image, "InstanceType": "t3.micro"}
    c.create_launch_configuration(
        LaunchConfigurationName="plain",
        **basis,
        SecurityGroups=[group],
        UserData="#!/bin/sh",
        AssociatePublicIpAddress=False,
        EbsOptimized=True,
        PlacementTenancy="default",
        SpotPrice="0.05",
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled"},
        BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3", "Encrypted": True}},
            {"DeviceName": "/dev/sdb", "NoDevice": True},
        ],
    )
    c.create_launch_configuration(LaunchConfigurationName="other", **basis, InstanceMonitoring={"Enabled": False})
    made = c.describe_launch_configurations(LaunchConfigurationNames=["plain"])["LaunchConfigurations"][0]
    check("monitoring", made["InstanceMonitoring"], {"Enabled": True})
    check("groups", made["SecurityGroups"], [group])
    check("user data", made["UserData"], "IyEvYmluL3No")
    check("public", made["AssociatePublicIpAddress"], False)
    check("spot", made["SpotPrice"], "0.05")
    check("no key", made["KeyName"], "")
    check("tokens", made["MetadataOptions"]["HttpTokens"], "required")
    check("devices", [d["DeviceName"] for d in made["BlockDeviceMappings"]], ["/dev/xvda", "/dev/sdb"])
    check("size", made["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"], 20)
    check("no device", made["BlockDeviceMappings"][1]["NoDevice"], True)
    first = c.describe_launch_configurations(MaxRecords=1)
    check("first page", [m["LaunchConfigurationName"] for m in first["LaunchConfigurations"]], ["other"])
    rest = c.describe_launch_configurations(NextToken=first["NextToken"])
    check("second page", [m["LaunchConfigurationName"] for m in rest["LaunchConfigurations"]], ["plain"])
    check("count", c.describe_account_limits()["NumberOfLaunchConfigurations"], 2)
    again = code_of(c.create_launch_configuration, LaunchConfigurationName="plain", **basis)
    check("twice", again, "AlreadyExists")
    for more in (
        {"ImageId": "ami-0"},
        {"InstanceType": "x9.huge"},
        {"KeyName": "nobody"},
        {"SecurityGroups": ["sg-00000000000000000"]},
        {"IamInstanceProfile": "nobody"},
        {"PlacementTenancy": "host"},
        {"BlockDeviceMappings": [{"DeviceName": "/dev/sdb", "Ebs": {"VolumeType": "gp3"}}]},
        {"BlockDeviceMappings": [{"DeviceName": "/dev/sdb"}]},
        {"KernelId": "aki-1"},
        {"ClassicLinkVPCId": "vpc-1"},
        {"InstanceId": "i-00000000000000000"},
    ):
        arguments = {"LaunchConfigurationName": "bad", **basis, **more}
        check(f"refused {more}", code_of(c.create_launch_configuration, **arguments), "ValidationError")
    nothing = code_of(c.create_launch_configuration, LaunchConfigurationName="bad")
    check("nothing", nothing, "ValidationError")

    template = stack.group("old")
    del template["LaunchTemplate"]
    both = code_of(c.create_auto_scaling_group, **stack.group("old"), LaunchConfigurationName="plain")
    check("both", both, "ValidationError")
    unknown = code_of(c.create_auto_scaling_group, **template, LaunchConfigurationName="none")
    check("unknown", unknown, "ValidationError")
    c.create_auto_scaling_group(**template, LaunchConfigurationName="plain")
    found = one(c, "old")
    check("name", (found["LaunchConfigurationName"], found.get("LaunchTemplate")), ("plain", None))
    used = message_of(c.delete_launch_configuration, LaunchConfigurationName="plain")
    check("used", used, "Cannot delete launch configuration plain because it is attached to AutoScalingGroup old")
    c.update_auto_scaling_group(AutoScalingGroupName="old", LaunchTemplate={"LaunchTemplateName": "web"})
    found = one(c, "old")
    check("template", (found.get("LaunchConfigurationName"), found["LaunchTemplate"].get("Version")), (None, None))
    c.update_auto_scaling_group(AutoScalingGroupName="old", LaunchConfigurationName="other")
    check("back", one(c, "old")["LaunchConfigurationName"], "other")
    c.delete_launch_configuration(LaunchConfigurationName="plain")
    gone = code_of(c.delete_launch_configuration, LaunchConfigurationName="plain")
    check("gone", gone, "ValidationError")
    c.delete_auto_scaling_group(AutoScalingGroupName="old", ForceDelete=True)


def schedules(c):
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    hours = lambda n: now + datetime.timedelta(hours=n)
    put = lambda name, **more: c.put_scheduled_update_group_action(**GROUP, ScheduledActionName=name, **more)
    put("once", StartTime=hours(30), MinSize=1, MaxSize=2, DesiredCapacity=1)
    put("daily", Recurrence="0 9 * * MON-FRI", TimeZone="Europe/Berlin", DesiredCapacity=2)
    found = c.describe_scheduled_actions(**GROUP)["ScheduledUpdateGroupActions"]
    check("actions", [a["ScheduledActionName"] for a in found], ["daily", "once"])
    check("zone", (found[0]["Recurrence"], found[0]["TimeZone"]), ("0 9 * * MON-FRI", "Europe/Berlin"))
    check("next run", found[0]["StartTime"] > now, True)
    check("sizes", [found[1][k] for k in ("MinSize", "MaxSize", "DesiredCapacity")], [1, 2, 1])
    check("start", found[1]["StartTime"], hours(30))
    put("once", StartTime=hours(31), DesiredCapacity=3)
    found = c.describe_scheduled_actions(**GROUP, ScheduledActionNames=["once"])["ScheduledUpdateGroupActions"]
    check("replaced", (found[0].get("MinSize"), found[0]["DesiredCapacity"]), (None, 3))
    by_time = c.describe_scheduled_actions(**GROUP, StartTime=hours(30.5), EndTime=hours(31.5))
    check("by time", [a["ScheduledActionName"] for a in by_time["ScheduledUpdateGroupActions"]], ["once"])
    for what, more in (
        ("past", {"StartTime": hours(-1), "MinSize": 1}),
        ("no sizes", {"StartTime": hours(1)}),
        ("no time", {"MinSize": 1}),
        ("a bad cron", {"Recurrence": "0 25 * * *", "MinSize": 1}),
        ("six fields", {"Recurrence": "0 0 1 * * *", "MinSize": 1}),
        ("a bad zone", {"Recurrence": "0 1 * * *", "TimeZone": "Mars/Base", "MinSize": 1}),
        ("min above max", {"StartTime": hours(1), "MinSize": 2, "MaxSize": 1}),
        ("an end before", {"Recurrence": "0 1 * * *", "StartTime": hours(9), "EndTime": hours(8), "MinSize": 1}),
    ):
        check(what, code_of(put, "bad", **more), "ValidationError")
    check("taken", code_of(put, "same", StartTime=hours(31), MinSize=1), "AlreadyExists")
    batch = c.batch_put_scheduled_update_group_action(
        **GROUP,
        ScheduledUpdateGroupActions=[
            {"ScheduledActionName": "good", "StartTime": hours(40), "MaxSize": 9},
            {"ScheduledActionName": "bad", "StartTime": hours(-1), "MaxSize": 9},
        ],
    )
    failed = batch["FailedScheduledUpdateGroupActions"]
    check("batch", [(f["ScheduledActionName"], f["ErrorCode"]) for f in failed], [("bad", "ValidationError")])
    batch = c.batch_delete_scheduled_action(**GROUP, ScheduledActionNames=["good", "none"])
    check("batch deletion", [f["ScheduledActionName"] for f in batch["FailedScheduledActions"]], ["none"])
    for name in ("once", "daily"):
        c.delete_scheduled_action(**GROUP, ScheduledActionName=name)
    gone = code_of(c.delete_scheduled_action, **GROUP, ScheduledActionName="once")
    check("gone", gone, "ValidationError")


def hooks(c, stack, topic):
    initial = {
        "LifecycleHookName": "prepare",
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
        "NotificationTargetARN": topic,
        "RoleARN": "arn:aws:iam::000000000000:role/notify",
        "NotificationMetadata": "text",
    }
    c.create_auto_scaling_group(**stack.group("hooked", LifecycleHookSpecificationList=[initial]))
    group = {"AutoScalingGroupName": "hooked"}
    found = c.describe_lifecycle_hooks(**group)["LifecycleHooks"]
    check("defaults", [found[0][k] for k in ("HeartbeatTimeout", "GlobalTimeout", "DefaultResult")], [3600, 172800, "ABANDON"])
    check("target", found[0]["NotificationTargetARN"], initial["NotificationTargetARN"])
    put = lambda name, **more: c.put_lifecycle_hook(**group, LifecycleHookName=name, **more)
    check("no such topic", code_of(put, "prepare", NotificationTargetARN=f"{topic}-not"), "ValidationError")
    put("prepare", HeartbeatTimeout=60, DefaultResult="CONTINUE", NotificationTargetARN="")
    put("save", LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING")
    found = c.describe_lifecycle_hooks(**group)["LifecycleHooks"]
    check("names", [h["LifecycleHookName"] for h in found], ["prepare", "save"])
    check("changed", (found[0]["HeartbeatTimeout"], found[0]["GlobalTimeout"]), (60, 6000))
    check("no target", found[0].get("NotificationTargetARN"), None)
    check("kept", found[0]["NotificationMetadata"], "text")
    only = c.describe_lifecycle_hooks(**group, LifecycleHookNames=["save"])["LifecycleHooks"]
    check("by name", [h["LifecycleTransition"] for h in only], ["autoscaling:EC2_INSTANCE_TERMINATING"])
    for what, more in (
        ("no transition", {}),
        ("a transition", {"LifecycleTransition": "autoscaling:OTHER"}),
        ("too short", {"LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING", "HeartbeatTimeout": 29}),
        ("a result", {"LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING", "DefaultResult": "MAYBE"}),
        ("a target", {"LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING", "NotificationTargetARN": "arn:aws:s3:::bucket-name"}),
    ):
        check(what, code_of(put, "bad", **more), "ValidationError")
    complete = {**group, "LifecycleHookName": "save", "InstanceId": "i-00000000000000000"}
    none = message_of(c.complete_lifecycle_action, **complete, LifecycleActionResult="CONTINUE")
    check("nothing waits", none, "No active Lifecycle Action found with instance ID i-00000000000000000")
    beat = code_of(c.record_lifecycle_action_heartbeat, **complete)
    check("no heartbeat", beat, "ValidationError")
    types = c.describe_lifecycle_hook_types()["LifecycleHookTypes"]
    check("types", len(types), 2)
    c.delete_lifecycle_hook(**group, LifecycleHookName="save")
    check("gone", code_of(c.delete_lifecycle_hook, **group, LifecycleHookName="save"), "ValidationError")
    c.delete_auto_scaling_group(**group, ForceDelete=True)


def pools(c, stack):
    c.create_auto_scaling_group(**stack.group("pooled", MaxSize=4))
    group = {"AutoScalingGroupName": "pooled"}
    none = c.describe_warm_pool(**group)
    check("no pool", (none["Instances"], none.get("WarmPoolConfiguration")), ([], None))
    c.suspend_processes(**group, ScalingProcesses=["Launch"])
    c.put_warm_pool(**group)
    pool = c.describe_warm_pool(**group)["WarmPoolConfiguration"]
    check("defaults", pool, {"MinSize": 0, "PoolState": "Stopped"})
    c.put_warm_pool(
        **group,
        MaxGroupPreparedCapacity=3,
        MinSize=1,
        PoolState="Running",
        InstanceReusePolicy={"ReuseOnScaleIn": True},
    )
    pool = one(c, "pooled")["WarmPoolConfiguration"]
    check("pool", (pool["MaxGroupPreparedCapacity"], pool["MinSize"], pool["PoolState"]), (3, 1, "Running"))
    check("reuse", pool["InstanceReusePolicy"], {"ReuseOnScaleIn": True})
    check("size", one(c, "pooled")["WarmPoolSize"], 0)
    c.put_warm_pool(**group, MaxGroupPreparedCapacity=-1)
    pool = c.describe_warm_pool(**group)["WarmPoolConfiguration"]
    check("no most", pool.get("MaxGroupPreparedCapacity"), None)
    for what, more in (
        ("hibernated", {"PoolState": "Hibernated"}),
        ("a state", {"PoolState": "x"}),
        ("a size", {"MinSize": -1}),
        ("above the most", {"MinSize": 3, "MaxGroupPreparedCapacity": 2}),
    ):
        check(what, code_of(c.put_warm_pool, **group, **more), "ValidationError")
    kept = code_of(c.delete_auto_scaling_group, **group)
    check("a group with a pool", kept, "ResourceInUse")
    c.delete_warm_pool(**group, ForceDelete=True)
    gone = c.describe_warm_pool(**group).get("WarmPoolConfiguration")
    check("deleting", gone is None or gone["Status"] == "PendingDelete", True)
    check("no pool to delete", code_of(c.delete_warm_pool, AutoScalingGroupName="web"), "ValidationError")
    c.delete_auto_scaling_group(**group, ForceDelete=True)


def notifications(c, topic):
    types = c.describe_auto_scaling_notification_types()["AutoScalingNotificationTypes"]
    check("types", len(types), 5)
    put = lambda **more: c.put_notification_configuration(**{**GROUP, "TopicARN": topic, **more})
    put(NotificationTypes=types)
    put(NotificationTypes=types[:2])
    described = lambda **more: c.describe_notification_configurations(**more)["NotificationConfigurations"]
    found = described(AutoScalingGroupNames=["web"])
    check("told", [(n["TopicARN"], n["NotificationType"]) for n in found], [(topic, t) for t in types[:2]])
    first = c.describe_notification_configurations(MaxRecords=1)
    rest = described(NextToken=first["NextToken"])
    check("pages", [n["NotificationType"] for n in first["NotificationConfigurations"] + rest], types[:2])
    check("another group", described(AutoScalingGroupNames=["none"]), [])
    check("a type", code_of(put, NotificationTypes=["x"]), "ValidationError")
    check("no such topic", code_of(put, TopicARN=f"{topic}-not", NotificationTypes=types), "ValidationError")
    check("a topic", code_of(put, TopicARN="arn:aws:s3:::x", NotificationTypes=types), "ValidationError")
    c.delete_notification_configuration(**GROUP, TopicARN=topic)
    check("none left", described(), [])
    again = code_of(c.delete_notification_configuration, **GROUP, TopicARN=topic)
    check("gone", again, "ValidationError")


def zonal_shifts(c, shift):
    group = lambda: c.describe_auto_scaling_groups(AutoScalingGroupNames=["web"])["AutoScalingGroups"][0]
    arn = group()["AutoScalingGroupARN"]
    asked = {"resourceIdentifier": arn, "awayFrom": "use1-az1", "expiresIn": "2h", "comment": "a gray failure"}
    check("opted out", code_of(shift.start_zonal_shift, **asked), "ResourceNotFoundException")
    on = lambda **policy: c.update_auto_scaling_group(**GROUP, AvailabilityZoneImpairmentPolicy=policy)
    check("no behaviour", code_of(on, ZonalShiftEnabled=True), "ValidationError")
    on(ZonalShiftEnabled=True, ImpairedZoneHealthCheckBehavior="IgnoreUnhealthy")
    check("opted in", group()["AvailabilityZoneImpairmentPolicy"]["ZonalShiftEnabled"], True)
    zone_ids = shift.get_managed_resource(resourceIdentifier=arn)["appliedWeights"]
    away = sorted(zone_ids)[0]
    asked["awayFrom"] = away
    made = shift.start_zonal_shift(**asked)
    check("made", (made["status"], made["awayFrom"], made["comment"]), ("ACTIVE", away, "a gray failure"))
    check("twice", code_of(shift.start_zonal_shift, **asked), "ConflictException")
    seen = shift.get_managed_resource(resourceIdentifier=arn)
    check("weights", seen["appliedWeights"], {z: 0.0 if z == away else 1.0 for z in zone_ids})
    check("in it", [s["zonalShiftId"] for s in seen["zonalShifts"]], [made["zonalShiftId"]])
    check("listed", [r["arn"] for r in shift.list_managed_resources()["items"]], [arn])
    longer = shift.update_zonal_shift(zonalShiftId=made["zonalShiftId"], expiresIn="12h", comment="still")
    check("longer", (longer["expiryTime"] > made["expiryTime"], longer["comment"]), (True, "still"))
    for wrong, reason in (({"expiresIn": "73h"}, "InvalidExpiresIn"), ({"awayFrom": "use1-az99"}, "InvalidAz")):
        try:
            shift.start_zonal_shift(**{**asked, **wrong})
            failures.append(f"{wrong} passed")
        except shift.exceptions.ValidationException as error:
            check("reason", error.response["reason"], reason)
    check("canceled", shift.cancel_zonal_shift(zonalShiftId=made["zonalShiftId"])["status"], "CANCELED")
    check("again", code_of(shift.cancel_zonal_shift, zonalShiftId=made["zonalShiftId"]), "ConflictException")
    check("unknown", code_of(shift.cancel_zonal_shift, zonalShiftId="none"), "ResourceNotFoundException")
    shift.start_zonal_shift(**asked)
    states = lambda **more: sorted(s["status"] for s in shift.list_zonal_shifts(**more)["items"])
    check("all", states(resourceIdentifier=arn), ["ACTIVE", "CANCELED"])
    check("active", states(status="ACTIVE"), ["ACTIVE"])
    first = shift.list_zonal_shifts(maxResults=1)
    rest = shift.list_zonal_shifts(nextToken=first["nextToken"])
    check("pages", (len(first["items"]), len(rest["items"])), (1, 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    options = parser.parse_args()
    account = str(random.randrange(10**11, 10**12))
    made = lambda service: client(service, options.endpoint, account)
    autoscaling, ec2 = made("autoscaling"), made("ec2")
    checker = Checker(autoscaling)
    stack = Stack(ec2, made("elbv2"))
    launch_configurations(autoscaling, stack, ec2)
    autoscaling.create_auto_scaling_group(**stack.group("web"))
    schedules(autoscaling)
    topic = made("sns").create_topic(Name="told")["TopicArn"]
    hooks(autoscaling, stack, topic)
    pools(autoscaling, stack)
    notifications(autoscaling, topic)
    shift = made("arc-zonal-shift")
    shift_checker = Checker(shift)
    zonal_shifts(autoscaling, shift)
    checker.unknown |= shift_checker.unknown
    autoscaling.delete_auto_scaling_group(**GROUP, ForceDelete=True)
    failures.extend(f"not in the model: {unknown}" for unknown in sorted(checker.unknown))
    for failure in failures:
        print(failure)
    print(f"{len(checker.calls)} actions called, {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
