"""Route 53: zones, batches of changes, lists by pages, tags and health checks, and what AWS refuses.

    python tests/api/route53.py --endpoint http://127.0.0.1:4566
"""

import argparse
import random
import sys
import time

from checks import check, failures, refused
from strict import Checker, client, code_of


def record(name, value, kind="A", **more):
    return {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}], **more}


def alias(name, zone, target, evaluate=True, **more):
    return {"Name": name, "Type": "A", "AliasTarget": {"HostedZoneId": zone, "DNSName": target, "EvaluateTargetHealth": evaluate}, **more}


def changes(*pairs):
    return {"Changes": [{"Action": action, "ResourceRecordSet": set} for action, set in pairs]}


def message_of(call, **arguments):
    try:
        call(**arguments)
    except Exception as error:  # noqa: BLE001 - its text is looked at
        return str(error).split("operation: ")[-1]
    return "no error"


def zones(route53, ec2):
    reference = str(random.random())
    made = route53.create_hosted_zone(Name="Shop.Example", CallerReference=reference, HostedZoneConfig={"Comment": "ours"})
    zone = made["HostedZone"]["Id"].removeprefix("/hostedzone/")
    check("name", made["HostedZone"]["Name"], "shop.example.")
    check("location", made["Location"].endswith(made["HostedZone"]["Id"]), True)
    check("servers", len(made["DelegationSet"]["NameServers"]), 4)
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    here = {"VPCRegion": "us-east-1", "VPCId": vpc}
    private = route53.create_hosted_zone(Name="corp.internal", CallerReference=reference + "p", VPC=here)["HostedZone"]["Id"].split("/")[-1]
    check("private", route53.get_hosted_zone(Id=private)["VPCs"], [here])
    other = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    there = {"VPCRegion": "us-east-1", "VPCId": other}
    route53.associate_vpc_with_hosted_zone(HostedZoneId=private, VPC=there)
    listed = route53.list_hosted_zones_by_vpc(VPCId=other, VPCRegion="us-east-1")["HostedZoneSummaries"]
    check("by VPC", [z["HostedZoneId"] for z in listed], [private])
    refused(
        (route53.create_hosted_zone, dict(Name="x.example", CallerReference=reference), "HostedZoneAlreadyExists"),
        (route53.create_hosted_zone, dict(Name="a..b", CallerReference="1"), "InvalidDomainName"),
        (route53.create_hosted_zone, dict(Name="com", CallerReference="1"), "InvalidDomainName"),
        (route53.create_hosted_zone, dict(Name="corp.internal", CallerReference="2", VPC=here), "ConflictingDomainExists"),
        (route53.create_hosted_zone, dict(Name="c", CallerReference="3", VPC={"VPCRegion": "us-east-1", "VPCId": "vpc-12345678"}), "InvalidVPCId"),
        (route53.create_hosted_zone, dict(Name="c", CallerReference="4", DelegationSetId="N1"), "NoSuchDelegationSet"),
        (route53.associate_vpc_with_hosted_zone, dict(HostedZoneId=zone, VPC=here), "PublicZoneVPCAssociation"),
        (route53.get_hosted_zone, dict(Id="Z0"), "NoSuchHostedZone"),
        (route53.get_hosted_zone_limit, dict(HostedZoneId=zone, Type="MAX_VPCS_ASSOCIATED_BY_ZONE"), "HostedZoneNotPrivate"),
    )
    route53.disassociate_vpc_from_hosted_zone(HostedZoneId=private, VPC=there)
    refused(
        (route53.disassociate_vpc_from_hosted_zone, dict(HostedZoneId=private, VPC=there), "VPCAssociationNotFound"),
        (route53.disassociate_vpc_from_hosted_zone, dict(HostedZoneId=private, VPC=here), "LastVPCAssociation"),
    )
    ec2.delete_vpc(VpcId=other)
    check("comment", route53.update_hosted_zone_comment(Id=zone, Comment="theirs")["HostedZone"]["Config"]["Comment"], "theirs")
    first = route53.list_hosted_zones(MaxItems="1")
    rest = route53.list_hosted_zones(Marker=first["NextMarker"])
    found = {z["Name"] for z in first["HostedZones"] + rest["HostedZones"]}
    check("by pages", (first["IsTruncated"], found), (True, {"shop.example.", "corp.internal."}))
    by_name = route53.list_hosted_zones_by_name(DNSName="shop.example")
    check("by name", [z["Name"] for z in by_name["HostedZones"]], ["shop.example.", "corp.internal."])
    check("count", route53.get_hosted_zone_count()["HostedZoneCount"], 2)
    check("signing", route53.get_dnssec(HostedZoneId=zone)["Status"]["ServeSignature"], "NOT_SIGNING")
    tagged = {"ResourceType": "hostedzone", "ResourceId": zone}
    route53.change_tags_for_resource(**tagged, AddTags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
    route53.change_tags_for_resource(**tagged, RemoveTagKeys=["a"])
    check("tags", route53.list_tags_for_resource(**tagged)["ResourceTagSet"]["Tags"], [{"Key": "b", "Value": ""}])
    check("many", len(route53.list_tags_for_resources(ResourceType="hostedzone", ResourceIds=[zone, private])["ResourceTagSets"]), 2)
    return zone, private


def records(route53, elb, ec2, zone):
    def put(*pairs):
        return route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=changes(*pairs))

    def problem(*pairs):
        return message_of(route53.change_resource_record_sets, HostedZoneId=zone, ChangeBatch=changes(*pairs))

    done = put(("CREATE", record("WWW.shop.example", "198.18.1.1")), ("UPSERT", record("*.shop.example", '"text"', "TXT")))["ChangeInfo"]
    for _ in range(100):
        status = route53.get_change(Id=done["Id"])["ChangeInfo"]["Status"]
        if status == "INSYNC":
            break
        time.sleep(0.1)
    check("in force", status, "INSYNC")
    www = "[name='www.shop.example.', type='A']"
    for pair, expected in [
        (("CREATE", record("www.shop.example", "1.1.1.1")), f"[Tried to create resource record set {www} but it already exists]"),
        (("DELETE", record("www.shop.example", "1.1.1.1")), f"[Tried to delete resource record set {www} but the values provided do not match the current values]"),
        (("DELETE", record("no.shop.example", "1.1.1.1")), "[Tried to delete resource record set [name='no.shop.example.', type='A'] but it was not found]"),
        (("CREATE", record("www.else.example", "1.1.1.1")), "[RRSet with DNS name www.else.example. is not permitted in zone shop.example.]"),
        (("CREATE", record("shop.example", "a.b", "CNAME")), "[RRSet of type CNAME with DNS name shop.example. is not permitted at apex in zone shop.example.]"),
        (("CREATE", record("x.shop.example", "1.1.1")), "[Invalid Resource Record: FATAL problem: ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address) encountered with '1.1.1']"),
        (("CREATE", alias("x.shop.example", zone, "y.shop.example")), f"[Tried to create an alias that targets y.shop.example., type A in zone {zone}, but that target was not found]"),
    ]:
        check(f"{pair[0]} {pair[1]['Name']}", problem(pair), expected)
    check("all or nothing", problem(("CREATE", record("new.shop.example", "1.1.1.1")), ("CREATE", record("www.shop.example", "1.1.1.1")))[:17], "[Tried to create ")
    check("nothing", [r for r in route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"] if r["Name"].startswith("new")], [])
    again = record("again.shop.example", "1.1.1.1")
    put(("CREATE", again), ("DELETE", again), ("CREATE", record("again.shop.example", "www.shop.example", "CNAME")))
    put(("DELETE", record("again.shop.example", "www.shop.example", "CNAME")))
    many = dict(record("many.shop.example", "1.1.1.1"), ResourceRecords=[{"Value": f"1.1.{n // 200}.{n % 200}"} for n in range(400)])
    check("too many", problem(*(("UPSERT", dict(many, Name=f"m{n}.shop.example")) for n in range(2))), "[Number of records limit of 1000 exceeded.]")
    weighted = lambda identifier, weight: record("w.shop.example", f"1.1.1.{weight}", SetIdentifier=identifier, Weight=weight)
    put(("CREATE", weighted("one", 1)), ("CREATE", weighted("two", 2)))
    mixed = record("w.shop.example", "1.1.1.3", SetIdentifier="three", MultiValueAnswer=True)
    refused(
        (route53.change_resource_record_sets, dict(HostedZoneId=zone, ChangeBatch=changes(("CREATE", mixed))), "InvalidChangeBatch"),
        (route53.change_resource_record_sets, dict(HostedZoneId=zone, ChangeBatch=changes(("CREATE", record("g.shop.example", "1.1.1.1", SetIdentifier="g", GeoLocation={"CountryCode": "DE"})))), "InvalidInput"),
        (route53.change_resource_record_sets, dict(HostedZoneId=zone, ChangeBatch=changes(("CREATE", record("h.shop.example", "1.1.1.1", HealthCheckId="none")))), "NoSuchHealthCheck"),
        (route53.change_resource_record_sets, dict(HostedZoneId=zone, ChangeBatch=changes(("CREATE", record("i.shop.example", "1.1.1.1", Weight=1)))), "InvalidInput"),
        (route53.list_resource_record_sets, dict(HostedZoneId=zone, StartRecordType="A"), "InvalidInput"),
        (route53.delete_hosted_zone, dict(Id=zone), "HostedZoneNotEmpty"),
        (route53.get_change, dict(Id="C0"), "NoSuchChange"),
    )
    put(("CREATE", alias("al.shop.example", zone, "www.shop.example")))
    subnets = [s["SubnetId"] for s in ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]][:2]
    balancer = elb.create_load_balancer(Name="route53", Subnets=subnets)["LoadBalancers"][0]
    put(("CREATE", alias("lb.shop.example", balancer["CanonicalHostedZoneId"], "dualstack." + balancer["DNSName"])))
    check("wrong zone", "does not lie within" in problem(("CREATE", alias("lb2.shop.example", "Z32O12XQLNTSW2", balancer["DNSName"]))), True)
    pages = route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone, PaginationConfig={"PageSize": 2})
    names = [(r["Name"], r["Type"], r.get("SetIdentifier")) for page in pages for r in page["ResourceRecordSets"]]
    expected = [
        ("shop.example.", "NS", None), ("shop.example.", "SOA", None), ("\\052.shop.example.", "TXT", None), ("al.shop.example.", "A", None),
        ("lb.shop.example.", "A", None), ("w.shop.example.", "A", "one"), ("w.shop.example.", "A", "two"), ("www.shop.example.", "A", None),
    ]
    check("listed", names, expected)
    elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    gone = [r for r in route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"] if r["Type"] not in ("NS", "SOA")]
    put(*(("DELETE", r) for r in gone))


def health_checks(route53, cloudwatch):
    probe = {"Type": "HTTPS", "FullyQualifiedDomainName": "www.shop.example", "RequestInterval": 10, "Disabled": True}
    made = route53.create_health_check(CallerReference="one", HealthCheckConfig=probe)["HealthCheck"]
    config = made["HealthCheckConfig"]
    check("defaults", (config["Port"], config["FailureThreshold"], config["EnableSNI"], config["Inverted"]), (443, 3, True, False))
    check("again", route53.create_health_check(CallerReference="one", HealthCheckConfig=probe)["HealthCheck"]["Id"], made["Id"])
    changed = route53.update_health_check(HealthCheckId=made["Id"], HealthCheckVersion=1, ResourcePath="/a", SearchString="")["HealthCheck"]
    check("changed", (changed["HealthCheckVersion"], changed["HealthCheckConfig"]["ResourcePath"]), (2, "/a"))
    route53.update_health_check(HealthCheckId=made["Id"], ResetElements=["ResourcePath"])
    both = route53.create_health_check(CallerReference="two", HealthCheckConfig={"Type": "CALCULATED", "ChildHealthChecks": [made["Id"]], "HealthThreshold": 1})["HealthCheck"]["Id"]
    cloudwatch.put_metric_alarm(AlarmName="r53", Namespace="A", MetricName="m", Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold")
    by_alarm = {"Type": "CLOUDWATCH_METRIC", "AlarmIdentifier": {"Region": "us-east-1", "Name": "r53"}, "InsufficientDataHealthStatus": "Unhealthy"}
    third = route53.create_health_check(CallerReference="three", HealthCheckConfig=by_alarm)["HealthCheck"]["Id"]
    listed = [c["Id"] for page in route53.get_paginator("list_health_checks").paginate(PaginationConfig={"PageSize": 2}) for c in page["HealthChecks"]]
    check("listed", set(listed), {made["Id"], both, third})
    check("count", route53.get_health_check_count()["HealthCheckCount"], 3)
    check("ranges", len(route53.get_checker_ip_ranges()["CheckerIpRanges"]), 1)
    check("no failure yet", route53.get_health_check_last_failure_reason(HealthCheckId=made["Id"])["HealthCheckObservations"], [])
    route53.change_tags_for_resource(ResourceType="healthcheck", ResourceId=made["Id"], AddTags=[{"Key": "Name", "Value": "n"}])
    create = lambda **config: (route53.create_health_check, dict(CallerReference=str(random.random()), HealthCheckConfig=config), "InvalidInput")
    refused(
        create(Type="HTTP"),
        create(Type="HTTP", IPAddress="10.0.0.1"),
        create(Type="TCP", IPAddress="198.18.1.1"),
        create(Type="HTTP", IPAddress="198.18.1.1", RequestInterval=20),
        create(Type="HTTP_STR_MATCH", IPAddress="198.18.1.1"),
        create(Type="CALCULATED", ChildHealthChecks=[both], HealthThreshold=1),
        create(Type="RECOVERY_CONTROL", RoutingControlArn="arn"),
        (route53.update_health_check, dict(HealthCheckId=made["Id"], HealthCheckVersion=1), "HealthCheckVersionMismatch"),
        (route53.create_health_check, dict(CallerReference="one", HealthCheckConfig={"Type": "HTTP", "IPAddress": "198.18.1.1"}), "HealthCheckAlreadyExists"),
        (route53.get_health_check_status, dict(HealthCheckId=both), "InvalidInput"),
    )
    for id in (both, made["Id"], third):
        route53.delete_health_check(HealthCheckId=id)
    check("gone", code_of(route53.get_health_check, HealthCheckId=both), "NoSuchHealthCheck")
    cloudwatch.delete_alarms(AlarmNames=["r53"])


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--endpoint", default="http://127.0.0.1:4566")
    endpoint = options.parse_args().endpoint
    account = str(random.randrange(10**11, 10**12))
    route53, ec2, elb, cloudwatch = (client(service, endpoint, account) for service in ("route53", "ec2", "elbv2", "cloudwatch"))
    checker = Checker(route53)
    zone, private = zones(route53, ec2)
    records(route53, elb, ec2, zone)
    health_checks(route53, cloudwatch)
    for id in (zone, private):
        route53.delete_hosted_zone(Id=id)
    check("no zones", route53.list_hosted_zones()["HostedZones"], [])
    failures.extend(f"unknown to botocore: {path}" for path in sorted(checker.unknown))
    print("\n".join(failures) or "ok")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
