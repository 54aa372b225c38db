"""Parameters, commands to nobody, logs, topics and subnet groups: what needs records, and nothing else.

    python tests/api/records.py --endpoint http://127.0.0.1:4566
"""

import argparse
import random
import sys
import time

from checks import check, failures, refused
from strict import Checker, client


def parameters(ssm):
    put = lambda name, value, **more: ssm.put_parameter(Name=name, Value=value, **({"Type": "String"} | more))
    check("version", put("/app/db/host", "a", Tags=[{"Key": "k", "Value": "v"}])["Version"], 1)
    check("version", put("/app/db/host", "b", Overwrite=True)["Version"], 2)
    put("/app/db/password", "secret", Type="SecureString")
    put("/app/name", "n")
    get = lambda name, **more: ssm.get_parameter(Name=name, **more)["Parameter"]
    check("newest", get("/app/db/host")["Value"], "b")
    check("by version", get("/app/db/host:1")["Value"], "a")
    check("by ARN", get(get("/app/name")["ARN"])["Value"], "n")
    check("sealed", get("/app/db/password")["Value"] == "secret", False)
    check("opened", get("/app/db/password", WithDecryption=True)["Value"], "secret")
    names = lambda **more: [p["Name"] for p in ssm.get_parameters_by_path(Path="/app", **more)["Parameters"]]
    check("one level", names(), ["/app/name"])
    check("all levels", names(Recursive=True), ["/app/db/host", "/app/db/password", "/app/name"])
    check("of a type", names(Recursive=True, ParameterFilters=[{"Key": "Type", "Values": ["SecureString"]}]), ["/app/db/password"])
    first = ssm.get_parameters_by_path(Path="/app", Recursive=True, MaxResults=2)
    rest = ssm.get_parameters_by_path(Path="/app", Recursive=True, NextToken=first["NextToken"])
    check("by pages", len(first["Parameters"]) + len(rest["Parameters"]), 3)
    ssm.label_parameter_version(Name="/app/db/host", ParameterVersion=1, Labels=["old"])
    check("by label", get("/app/db/host:old")["Value"], "a")
    history = ssm.get_parameter_history(Name="/app/db/host")["Parameters"]
    check("history", [(v["Version"], v["Value"], v["Labels"]) for v in history], [(1, "a", ["old"]), (2, "b", [])])
    shown = ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Option": "BeginsWith", "Values": ["/app/db"]}])["Parameters"]
    check("described", [(p["Name"], p["Version"], p["Tier"]) for p in shown], [("/app/db/host", 2, "Standard"), ("/app/db/password", 1, "Standard")])
    of = dict(ResourceType="Parameter", ResourceId="/app/db/host")
    ssm.add_tags_to_resource(**of, Tags=[{"Key": "more", "Value": "1"}])
    ssm.remove_tags_from_resource(**of, TagKeys=["k"])
    check("tags", ssm.list_tags_for_resource(**of)["TagList"], [{"Key": "more", "Value": "1"}])
    some = ssm.get_parameters(Names=["/app/name", "/app/none", "/aws/service/debian/release/12/latest/amd64"])
    check("some", (len(some["Parameters"]), some["InvalidParameters"]), (2, ["/app/none"]))
    new = dict(Type="String", Value="x")
    refused(
        (ssm.put_parameter, dict(new, Name="/app/name"), "ParameterAlreadyExists"),
        (ssm.put_parameter, dict(new, Name="/aws/x"), "AccessDeniedException"),
        (ssm.put_parameter, dict(new, Name="/" + "/".join("abcdefghijklmnop")), "HierarchyLevelLimitExceededException"),
        (ssm.put_parameter, dict(new, Name="p", AllowedPattern="^y$"), "ParameterPatternMismatchException"),
        (ssm.put_parameter, dict(new, Name="p", Value="x" * 4097), "ValidationException"),
        (ssm.get_parameter, dict(Name="/app/none"), "ParameterNotFound"),
        (ssm.get_parameter, dict(Name="/app/name:7"), "ParameterVersionNotFound"),
        (ssm.delete_parameter, dict(Name="/app/none"), "ParameterNotFound"),
    )
    ssm.delete_parameter(Name="/app/name")
    gone = ssm.delete_parameters(Names=["/app/db/host", "/app/db/password", "/app/none"])
    check("deleted", (len(gone["DeletedParameters"]), gone["InvalidParameters"]), (2, ["/app/none"]))


def topics(sns):
    arn = sns.create_topic(Name="alarms", Attributes={"DisplayName": "Alarms"}, Tags=[{"Key": "a", "Value": "b"}])["TopicArn"]
    check("again", sns.create_topic(Name="alarms")["TopicArn"], arn)
    attributes = lambda: sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    check("display name", (attributes()["DisplayName"], attributes()["TopicArn"]), ("Alarms", arn))
    sns.set_topic_attributes(TopicArn=arn, AttributeName="DisplayName", AttributeValue="Pages")
    check("set", attributes()["DisplayName"], "Pages")
    subscribe = lambda protocol, endpoint, **more: sns.subscribe(TopicArn=arn, Protocol=protocol, Endpoint=endpoint, **more)["SubscriptionArn"]
    check("asked first", subscribe("email", "ops@example.com"), "pending confirmation")
    mail = subscribe("email", "ops@example.com", ReturnSubscriptionArn=True)
    queue = subscribe("sqs", arn.replace(":sns:", ":sqs:"), Attributes={"RawMessageDelivery": "true"})
    counts = attributes()
    check("counted", (counts["SubscriptionsConfirmed"], counts["SubscriptionsPending"]), ("1", "1"))
    listed = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    check("listed", sorted(s["SubscriptionArn"] for s in listed), sorted(["PendingConfirmation", queue]))
    shown = lambda of: sns.get_subscription_attributes(SubscriptionArn=of)["Attributes"]
    check("pending", (shown(mail)["PendingConfirmation"], shown(queue)["PendingConfirmation"]), ("true", "false"))
    sns.set_subscription_attributes(SubscriptionArn=queue, AttributeName="FilterPolicy", AttributeValue='{"a": ["b"]}')
    check("filter", (shown(queue)["FilterPolicyScope"], shown(queue)["RawMessageDelivery"]), ("MessageAttributes", "true"))
    sns.publish(TopicArn=arn, Subject="Hello", Message="world")
    sns.publish(TopicArn=arn, MessageStructure="json", Message='{"default": "text"}')
    sns.tag_resource(ResourceArn=arn, Tags=[{"Key": "c", "Value": "d"}])
    sns.untag_resource(ResourceArn=arn, TagKeys=["a"])
    check("tags", sns.list_tags_for_resource(ResourceArn=arn)["Tags"], [{"Key": "c", "Value": "d"}])
    many = [sns.create_topic(Name=f"t{n:03}")["TopicArn"] for n in range(101)]
    found = [t["TopicArn"] for page in sns.get_paginator("list_topics").paginate() for t in page["Topics"]]
    check("by pages", found, [arn, *many])
    refused(
        (sns.create_topic, dict(Name="a b"), "InvalidParameter"),
        (sns.create_topic, dict(Name="x.fifo"), "InvalidParameter"),
        (sns.create_topic, dict(Name="alarms", Attributes={"DisplayName": "other"}), "InvalidParameter"),
        (sns.set_topic_attributes, dict(TopicArn=arn, AttributeName="Policy", AttributeValue="{"), "InvalidParameter"),
        (sns.set_topic_attributes, dict(TopicArn=arn, AttributeName="None", AttributeValue="x"), "InvalidParameter"),
        (sns.subscribe, dict(TopicArn=arn, Protocol="https", Endpoint="http://x"), "InvalidParameter"),
        (sns.unsubscribe, dict(SubscriptionArn=mail), "InvalidParameter"),
        (sns.publish, dict(TopicArn=arn + "x", Message="m"), "NotFound"),
        (sns.publish, dict(TopicArn=arn, Message=""), "InvalidParameter"),
        (sns.list_tags_for_resource, dict(ResourceArn=arn + "x"), "ResourceNotFound"),
    )
    sns.unsubscribe(SubscriptionArn=queue)
    for topic in (arn, *many):
        sns.delete_topic(TopicArn=topic)
    sns.delete_topic(TopicArn=arn)
    check("gone with it", sns.list_subscriptions()["Subscriptions"], [])
    refused((sns.get_topic_attributes, dict(TopicArn=arn), "NotFound"))


def log_groups(logs):
    here = dict(logGroupName="/app/web")
    logs.create_log_group(**here, tags={"a": "b"})
    logs.put_retention_policy(**here, retentionInDays=7)
    group = logs.describe_log_groups(logGroupNamePrefix="/app")["logGroups"][0]
    check("retention", group["retentionInDays"], 7)
    check("tags", logs.list_tags_for_resource(resourceArn=group["logGroupArn"])["tags"], {"a": "b"})
    stream = dict(here, logStreamName="one")
    logs.create_log_stream(**stream)
    now = int(time.time() * 1000)
    events = [{"timestamp": now + n, "message": f"request {n} {'failed' if n % 2 else 'served'}"} for n in range(10)]
    logs.put_log_events(**stream, logEvents=events)
    page = logs.get_log_events(**stream, startFromHead=True, limit=4)
    check("first page", [e["message"] for e in page["events"]], [e["message"] for e in events[:4]])
    page = logs.get_log_events(**stream, limit=100, nextToken=page["nextForwardToken"])
    check("the rest", len(page["events"]), 6)
    end = logs.get_log_events(**stream, nextToken=page["nextForwardToken"])
    check("the end", (end["events"], end["nextForwardToken"]), ([], page["nextForwardToken"]))
    newest = logs.get_log_events(**stream, limit=2)["events"]
    check("the newest", [e["message"] for e in newest], [e["message"] for e in events[-2:]])
    failed = logs.filter_log_events(**here, filterPattern="failed -\"request 3\"")["events"]
    check("filtered", [e["timestamp"] - now for e in failed], [1, 5, 7, 9])
    old = logs.put_log_events(**stream, logEvents=[{"timestamp": now - 20 * 86_400_000, "message": "old"}])
    check("expired", old["rejectedLogEventsInfo"], {"expiredLogEventEndIndex": 1})
    refused(
        (logs.create_log_group, here, "ResourceAlreadyExistsException"),
        (logs.create_log_stream, stream, "ResourceAlreadyExistsException"),
        (logs.put_retention_policy, dict(here, retentionInDays=2), "InvalidParameterException"),
        (logs.put_log_events, dict(stream, logEvents=list(reversed(events))), "InvalidParameterException"),
        (logs.get_log_events, dict(here, logStreamName="two"), "ResourceNotFoundException"),
        (logs.filter_log_events, dict(here, filterPattern="{ $.a = 1 }"), "InvalidParameterException"),
        (logs.delete_log_group, dict(logGroupName="/app/none"), "ResourceNotFoundException"),
    )
    check("streams", [s["logStreamName"] for s in logs.describe_log_streams(**here)["logStreams"]], ["one"])
    logs.delete_log_group(**here)
    check("gone", logs.describe_log_groups(logGroupNamePrefix="/app")["logGroups"], [])


def subnet_groups(ec2, rds, cache, redshift):
    subnets = ec2.describe_subnets()["Subnets"]
    ids = [s["SubnetId"] for s in subnets][:2]
    name = dict(DBSubnetGroupName="App")
    made = rds.create_db_subnet_group(**name, DBSubnetGroupDescription="d", SubnetIds=ids, Tags=[{"Key": "a", "Value": "b"}])["DBSubnetGroup"]
    check("lower case", made["DBSubnetGroupName"], "app")
    check("its subnets", sorted(s["SubnetIdentifier"] for s in made["Subnets"]), sorted(ids))
    check("tags", rds.list_tags_for_resource(ResourceName=made["DBSubnetGroupArn"])["TagList"], [{"Key": "a", "Value": "b"}])
    rds.modify_db_subnet_group(**name, DBSubnetGroupDescription="e", SubnetIds=ids)
    check("changed", rds.describe_db_subnet_groups(**name)["DBSubnetGroups"][0]["DBSubnetGroupDescription"], "e")
    refused(
        (rds.create_db_subnet_group, dict(name, DBSubnetGroupDescription="d", SubnetIds=ids), "DBSubnetGroupAlreadyExistsFault"),
        (rds.create_db_subnet_group, dict(DBSubnetGroupName="b", DBSubnetGroupDescription="d", SubnetIds=ids[:1]), "DBSubnetGroupDoesNotCoverEnoughAZs"),
        (rds.describe_db_subnet_groups, dict(DBSubnetGroupName="none"), "DBSubnetGroupNotFoundFault"),
        (cache.describe_cache_subnet_groups, dict(CacheSubnetGroupName="none"), "CacheSubnetGroupNotFoundFault"),
        (redshift.delete_cluster_subnet_group, dict(ClusterSubnetGroupName="none"), "ClusterSubnetGroupNotFoundFault"),
        (cache.create_cache_subnet_group, dict(CacheSubnetGroupName="x", CacheSubnetGroupDescription="", SubnetIds=["subnet-00000000"]), "InvalidSubnet"),
        (rds.create_db_instance, dict(DBInstanceIdentifier="x", DBInstanceClass="db.t3.micro", Engine="postgres"), "InvalidAction"),
    )
    made = cache.create_cache_subnet_group(CacheSubnetGroupName="app", CacheSubnetGroupDescription="d", SubnetIds=ids)["CacheSubnetGroup"]
    tags = cache.add_tags_to_resource(ResourceName=made["ARN"], Tags=[{"Key": "a", "Value": "b"}])["TagList"]
    check("cache tags", tags, [{"Key": "a", "Value": "b"}])
    redshift.create_cluster_subnet_group(ClusterSubnetGroupName="app", Description="d", SubnetIds=ids, Tags=[{"Key": "a", "Value": "b"}])
    found = redshift.describe_cluster_subnet_groups(TagKeys=["a"])["ClusterSubnetGroups"]
    check("cluster group", [(g["ClusterSubnetGroupName"], g["Tags"]) for g in found], [("app", [{"Key": "a", "Value": "b"}])])
    redshift.delete_cluster_subnet_group(ClusterSubnetGroupName="app")
    cache.delete_cache_subnet_group(CacheSubnetGroupName="app")
    rds.delete_db_subnet_group(**name)


def commands(ssm):
    sent = ssm.send_command(DocumentName="AWS-RunShellScript", Targets=[{"Key": "tag:none", "Values": ["x"]}], Parameters={"commands": ["true"]}, Comment="c")["Command"]
    check("nobody", (sent["Status"], sent["StatusDetails"], sent["TargetCount"]), ("Success", "NoInstancesInTag", 0))
    listed = ssm.list_commands(CommandId=sent["CommandId"], Filters=[{"key": "Status", "value": "Success"}])["Commands"]
    check("listed", [c["Comment"] for c in listed], ["c"])
    check("no invocations", ssm.list_command_invocations(CommandId=sent["CommandId"], Details=True)["CommandInvocations"], [])
    check("nobody managed", ssm.describe_instance_information()["InstanceInformationList"], [])
    ssm.cancel_command(CommandId=sent["CommandId"])
    run = dict(DocumentName="AWS-RunShellScript", Parameters={"commands": ["true"]})
    there = dict(run, InstanceIds=["i-0123456789abcdef0"])
    everybody = [{"Key": "InstanceIds", "Values": ["*"]}]
    refused(
        (ssm.send_command, there, "InvalidInstanceId"),
        (ssm.send_command, dict(there, DocumentName="AWS-RunPowerShellScript"), "InvalidDocument"),
        (ssm.send_command, dict(there, DocumentVersion="7"), "InvalidDocumentVersion"),
        (ssm.send_command, dict(there, Parameters={"other": ["1"]}), "InvalidParameters"),
        (ssm.send_command, dict(run, Targets=everybody, MaxErrors="x"), "InvalidParameters"),
        (ssm.send_command, dict(run, Targets=everybody, TimeoutSeconds=29), "ValidationException"),
        (ssm.send_command, dict(run, Targets=[{"Key": "resource-groups:Name", "Values": ["x"]}]), "InvalidTarget"),
        (ssm.send_command, dict(run), "ValidationException"),
        (ssm.get_command_invocation, dict(CommandId=sent["CommandId"], InstanceId="i-0123456789abcdef0"), "InvocationDoesNotExist"),
        (ssm.list_commands, dict(CommandId="01234567-0123-0123-0123-0123456789ab"), "InvalidCommandId"),
        (ssm.cancel_command, dict(CommandId="01234567-0123-0123-0123-0123456789ab"), "InvalidCommandId"),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    endpoint = parser.parse_args().endpoint
    account = f"{random.randrange(10**11, 10**12)}"
    names = ["ssm", "logs", "ec2", "rds", "elasticache", "redshift", "sns"]
    clients = {name: client(name, endpoint, account) for name in names}
    checkers = [Checker(c) for c in clients.values()]
    parameters(clients["ssm"])
    commands(clients["ssm"])
    log_groups(clients["logs"])
    topics(clients["sns"])
    subnet_groups(*(clients[name] for name in names[2:6]))
    for checker in checkers:
        failures.extend(f"not in botocore's model: {u}" for u in sorted(checker.unknown))
    for failure in failures:
        print(failure)
    calls = sum(sum(checker.calls.values()) for checker in checkers)
    print(f"{calls} calls, {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
