"""ELBv2 against a running endpoint: shapes, rules, error codes.

    python tests/api/elbv2.py --endpoint http://127.0.0.1:4566

Uses an account of its own, whose random number keeps runs apart. Works with and
without a data plane: nothing here waits for an observed state.
"""

import argparse
import random
import sys

from checks import check, failures
from strict import Checker, client, code_of


def by(name, *values):
    return [{"Name": name, "Values": list(values)}]


class Cloud:
    def __init__(self, endpoint, account):
        self.elb = client("elbv2", endpoint, account)
        self.ec2 = client("ec2", endpoint, account)
        self.shift = client("arc-zonal-shift", endpoint, account)
        self.vpc = self.ec2.describe_vpcs(Filters=by("is-default", "true"))["Vpcs"][0]["VpcId"]
        subnets = self.ec2.describe_subnets(Filters=by("vpc-id", self.vpc))["Subnets"]
        self.subnets = [
            s["SubnetId"] for s in sorted(subnets, key=lambda s: s["AvailabilityZone"])
        ]

    def balancer(self, name, **more):
        more = {"Subnets": self.subnets[:2]} | more
        return self.elb.create_load_balancer(Name=name, **more)["LoadBalancers"][0]

    def group(self, name, **more):
        more = {"Protocol": "HTTP", "Port": 80, "VpcId": self.vpc} | more
        return self.elb.create_target_group(Name=name, **more)["TargetGroups"][0]["TargetGroupArn"]

    def listener(self, balancer, port, actions, **more):
        made = self.elb.create_listener(
            LoadBalancerArn=balancer, Protocol="HTTP", Port=port, DefaultActions=actions, **more
        )
        return made["Listeners"][0]["ListenerArn"]


def forward(arn):
    return [{"Type": "forward", "TargetGroupArn": arn}]


FIXED = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]


def load_balancers(c):
    elb, ec2 = c.elb, c.ec2
    create, subnets = elb.create_load_balancer, c.subnets
    made = c.balancer("web")
    arn = made["LoadBalancerArn"]
    dimension = arn.split(":loadbalancer/")[1]
    check("DNS name", made["DNSName"].startswith("web-"), True)
    check("its domain", made["DNSName"].endswith(".us-east-1.elb.amazonaws.com"), True)
    check("hosted zone", made["CanonicalHostedZoneId"], "Z35SXDOTRQ7X7K")
    check("not active at once", made["State"]["Code"], "provisioning")
    check("zones", [z["ZoneName"] for z in made["AvailabilityZones"]], ["us-east-1a", "us-east-1b"])
    nodes = ec2.describe_network_interfaces(Filters=by("description", f"ELB {dimension}"))
    nodes = nodes["NetworkInterfaces"]
    check("a node's interface per zone", len(nodes), 2)
    check("public addresses", all("Association" in n for n in nodes), True)
    check("its owner", {n["Attachment"]["InstanceOwnerId"] for n in nodes}, {"amazon-elb"})
    check("again", c.balancer("web")["LoadBalancerArn"], arn)
    check("otherwise", code_of(create, Name="web", Subnets=subnets[:3]), "DuplicateLoadBalancerName")
    named = elb.describe_load_balancers(Names=["web"])["LoadBalancers"]
    check("by name", [b["LoadBalancerArn"] for b in named], [arn])

    two = subnets[:2]
    for what, code, arguments in [
        ("one subnet", "ValidationError", {"Name": "x", "Subnets": subnets[:1]}),
        ("unknown subnet", "SubnetNotFound", {"Name": "x", "Subnets": [subnets[0], "subnet-00000000000000000"]}),
        ("long name", "ValidationError", {"Name": "x" * 33, "Subnets": two}),
        ("internal name", "ValidationError", {"Name": "internal-x", "Subnets": two}),
        ("kind", "ValidationError", {"Name": "x", "Subnets": two, "Type": "classic"}),
        ("scheme", "ValidationError", {"Name": "x", "Subnets": two, "Scheme": "public"}),
        ("group", "InvalidSecurityGroup", {"Name": "x", "Subnets": two, "SecurityGroups": ["sg-00000000000000000"]}),
        ("dual stack", "InvalidSubnet", {"Name": "x", "Subnets": two, "IpAddressType": "dualstack"}),
        ("EIP", "InvalidConfigurationRequest", {"Name": "x", "SubnetMappings": [{"SubnetId": s, "AllocationId": "eipalloc-1"} for s in two]}),
    ]:
        check(what, code_of(create, **arguments), code)
    absent = arn[:-4] + "0000"
    for call in [elb.describe_load_balancer_attributes, elb.describe_capacity_reservation]:
        check("absent", code_of(call, LoadBalancerArn=absent), "LoadBalancerNotFound")
        check("no ARN", code_of(call, LoadBalancerArn="web"), "ValidationError")
    check("absent", code_of(elb.describe_load_balancers, LoadBalancerArns=[absent]), "LoadBalancerNotFound")
    check("absent", code_of(elb.describe_load_balancers, Names=["nobody"]), "LoadBalancerNotFound")

    group = ec2.create_security_group(GroupName="lb", Description="lb", VpcId=c.vpc)["GroupId"]
    elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[group])
    nodes = ec2.describe_network_interfaces(Filters=by("group-id", group))["NetworkInterfaces"]
    check("groups of the nodes", len(nodes), 2)
    zones = elb.set_subnets(LoadBalancerArn=arn, Subnets=subnets[1:4])["AvailabilityZones"]
    check("zones moved", [z["SubnetId"] for z in zones], subnets[1:4])
    check("too few", code_of(elb.set_subnets, LoadBalancerArn=arn, Subnets=subnets[:1]), "ValidationError")
    check("ipv4", elb.set_ip_address_type(LoadBalancerArn=arn, IpAddressType="ipv4")["IpAddressType"], "ipv4")

    modify = elb.modify_load_balancer_attributes

    def attribute(key, value):
        return {"LoadBalancerArn": arn, "Attributes": [{"Key": key, "Value": value}]}

    modify(**attribute("idle_timeout.timeout_seconds", "4000"))
    attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    attributes = {a["Key"]: a["Value"] for a in attributes}
    check("changed attribute", attributes["idle_timeout.timeout_seconds"], "4000")
    check("default attribute", attributes["client_keep_alive.seconds"], "3600")
    check("range", code_of(modify, **attribute("idle_timeout.timeout_seconds", "4001")), "ValidationError")
    check("key", code_of(modify, **attribute("moon.phase", "full")), "ValidationError")
    check("cross-zone", code_of(modify, **attribute("load_balancing.cross_zone.enabled", "false")), "InvalidConfigurationRequest")
    check("no bucket", code_of(modify, **attribute("access_logs.s3.enabled", "true")), "InvalidConfigurationRequest")

    asked = {"resourceIdentifier": arn, "awayFrom": "use1-az1", "expiresIn": "2h", "comment": "a gray failure"}
    check("opted out", code_of(c.shift.start_zonal_shift, **asked), "ResourceNotFoundException")
    modify(**attribute("zonal_shift.config.enabled", "true"))
    weights = c.shift.get_managed_resource(resourceIdentifier=arn)["appliedWeights"]
    check("zones that can be left", len(weights), 3)
    asked["awayFrom"] = sorted(weights)[0]
    shift = c.shift.start_zonal_shift(**asked)
    check("shifted", (shift["status"], shift["resourceIdentifier"]), ("ACTIVE", arn))
    weights = c.shift.get_managed_resource(resourceIdentifier=arn)["appliedWeights"]
    check("left", weights[asked["awayFrom"]], 0.0)
    check("listed", arn in [r["arn"] for r in c.shift.list_managed_resources()["items"]], True)
    check("canceled", c.shift.cancel_zonal_shift(zonalShiftId=shift["zonalShiftId"])["status"], "CANCELED")

    modify(**attribute("deletion_protection.enabled", "true"))
    check("protected", code_of(elb.delete_load_balancer, LoadBalancerArn=arn), "OperationNotPermitted")
    modify(**attribute("deletion_protection.enabled", "false"))
    listener = c.listener(arn, 80, FIXED)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    check("gone", code_of(elb.describe_load_balancers, LoadBalancerArns=[arn]), "LoadBalancerNotFound")
    check("its listener", code_of(elb.describe_listeners, ListenerArns=[listener]), "ListenerNotFound")
    check("twice", code_of(elb.delete_load_balancer, LoadBalancerArn=arn), None)

    inside = c.balancer("api", Scheme="internal")
    check("internal name", inside["DNSName"].startswith("internal-api-"), True)
    dimension = inside["LoadBalancerArn"].split(":loadbalancer/")[1]
    nodes = ec2.describe_network_interfaces(Filters=by("description", f"ELB {dimension}"))
    check("no public address", any("Association" in n for n in nodes["NetworkInterfaces"]), False)
    elb.delete_load_balancer(LoadBalancerArn=inside["LoadBalancerArn"])


def target_groups(c):
    elb = c.elb
    create = elb.create_target_group
    arn = c.group("tg")
    made = elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]
    expected = {
        "HealthCheckProtocol": "HTTP", "HealthCheckPort": "traffic-port", "HealthCheckPath": "/",
        "HealthCheckIntervalSeconds": 30, "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 5, "UnhealthyThresholdCount": 2, "Matcher": {"HttpCode": "200"},
        "TargetType": "instance", "ProtocolVersion": "HTTP1", "LoadBalancerArns": [],
    }
    for key, value in expected.items():
        check(key, made[key], value)
    check("again", c.group("tg"), arn)
    check("otherwise", code_of(c.group, name="tg", Port=81), "DuplicateTargetGroupName")
    for what, code, more in [
        ("QUIC", "InvalidConfigurationRequest", {"Protocol": "QUIC"}),
        ("HTTP/1.1 over TCP", "ValidationError", {"Protocol": "TCP", "ProtocolVersion": "HTTP1"}),
        ("lambda", "InvalidConfigurationRequest", {"TargetType": "lambda"}),
        ("port", "ValidationError", {"Port": 0}),
        ("VPC", "ValidationError", {"VpcId": "vpc-00000000000000000"}),
        ("interval", "ValidationError", {"HealthCheckIntervalSeconds": 5}),
        ("matcher", "ValidationError", {"Matcher": {"HttpCode": "500"}}),
        ("threshold", "ValidationError", {"HealthyThresholdCount": 1}),
    ]:
        check(what, code_of(c.group, name="other", **more), code)
    changed = elb.modify_target_group(TargetGroupArn=arn, HealthCheckPath="/h", Matcher={"HttpCode": "200-299"})
    check("path", changed["TargetGroups"][0]["HealthCheckPath"], "/h")

    def attributes(**pairs):
        pairs = [{"Key": k.replace("__", "."), "Value": v} for k, v in pairs.items()]
        return {"TargetGroupArn": arn, "Attributes": pairs}

    modify = elb.modify_target_group_attributes
    modify(**attributes(deregistration_delay__timeout_seconds="0", slow_start__duration_seconds="30"))
    code = code_of(modify, **attributes(load_balancing__algorithm__type="weighted_random"))
    check("slow start excludes", code, "InvalidConfigurationRequest")
    listed = elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
    listed = {a["Key"]: a["Value"] for a in listed}
    check("set", listed["deregistration_delay.timeout_seconds"], "0")
    check("default", listed["stickiness.type"], "lb_cookie")

    register = elb.register_targets
    unknown = [{"Id": "i-00000000000000000"}]
    check("no instance", code_of(register, TargetGroupArn=arn, Targets=unknown), "InvalidTarget")
    health = elb.describe_target_health(TargetGroupArn=arn, Targets=unknown)
    health = health["TargetHealthDescriptions"][0]["TargetHealth"]
    check("never registered", (health["State"], health["Reason"]), ("unused", "Target.NotRegistered"))
    elb.deregister_targets(TargetGroupArn=arn, Targets=unknown)

    ip = c.group("ip", TargetType="ip")
    for what, code, target in [
        ("public", "InvalidTarget", {"Id": "8.8.8.8", "AvailabilityZone": "all"}),
        ("outside", "ValidationError", {"Id": "10.1.1.1"}),
        ("no address", "ValidationError", {"Id": "web"}),
        ("zone", "ValidationError", {"Id": "172.31.0.9", "AvailabilityZone": "eu-west-1a"}),
    ]:
        check(what, code_of(register, TargetGroupArn=ip, Targets=[target]), code)
    register(TargetGroupArn=ip, Targets=[{"Id": "172.31.0.9"}, {"Id": "172.31.0.9", "Port": 81}])
    health = elb.describe_target_health(TargetGroupArn=ip, Include=["All"])["TargetHealthDescriptions"]
    check("ports", [h["Target"]["Port"] for h in health], [80, 81])
    check("its zone", health[0]["Target"]["AvailabilityZone"], "us-east-1a")
    elb.deregister_targets(TargetGroupArn=ip, Targets=[{"Id": "172.31.0.9"}])
    code = code_of(register, TargetGroupArn=ip, Targets=[{"Id": "172.31.0.9"}])
    check("draining address", code in ("InvalidTarget", None), True)

    elb.delete_target_group(TargetGroupArn=ip)
    elb.delete_target_group(TargetGroupArn=arn)
    check("twice", code_of(elb.delete_target_group, TargetGroupArn=arn), None)
    check("gone", code_of(elb.describe_target_groups, Names=["tg"]), "TargetGroupNotFound")


def listeners(c):
    elb = c.elb
    balancer, other = (c.balancer(n)["LoadBalancerArn"] for n in ("one", "two"))
    group = c.group("web")
    listener = c.listener(balancer, 80, forward(group))
    check("again", c.listener(balancer, 80, forward(group)), listener)
    check("port taken", code_of(c.listener, balancer=balancer, port=80, actions=FIXED), "DuplicateListener")
    check("one balancer", code_of(c.listener, balancer=other, port=80, actions=forward(group)), "TargetGroupAssociationLimit")
    check("in use", code_of(elb.delete_target_group, TargetGroupArn=group), "ResourceInUse")
    used = elb.describe_target_groups(LoadBalancerArn=balancer)["TargetGroups"]
    check("its balancer", used[0]["LoadBalancerArns"], [balancer])
    create = elb.create_listener
    base = {"LoadBalancerArn": balancer, "Port": 443, "DefaultActions": FIXED}
    check("no certificate", code_of(create, **base, Protocol="HTTPS"), "ValidationError")
    check("TCP", code_of(create, **base, Protocol="TCP"), "ValidationError")
    check("no protocol", code_of(create, **base), "ValidationError")
    certificates = [{"CertificateArn": "arn:aws:acm:us-east-1:1:certificate/x"}]
    check("certificate", code_of(create, **base, Protocol="HTTP", Certificates=certificates), "ValidationError")
    absent = group[:-4] + "0000"
    check("no group", code_of(c.listener, balancer=balancer, port=82, actions=forward(absent)), "TargetGroupNotFound")
    grpc = c.group("grpc", ProtocolVersion="GRPC")
    check("gRPC", code_of(c.listener, balancer=balancer, port=82, actions=forward(grpc)), "IncompatibleProtocols")
    made = elb.describe_listeners(ListenerArns=[listener])["Listeners"][0]["DefaultActions"][0]
    check("both forms", made["ForwardConfig"]["TargetGroups"], [{"TargetGroupArn": group, "Weight": 1}])
    check("short form", made["TargetGroupArn"], group)
    moved = elb.modify_listener(ListenerArn=listener, Port=8080)["Listeners"][0]
    check("moved", moved["Port"], 8080)
    c.listener(balancer, 81, FIXED)
    check("port taken", code_of(elb.modify_listener, ListenerArn=listener, Port=81), "DuplicateListener")
    listed = elb.describe_listener_attributes(ListenerArn=listener)["Attributes"]
    check("server header", {"Key": "routing.http.response.server.enabled", "Value": "true"} in listed, True)
    elb.modify_listener_attributes(ListenerArn=listener, Attributes=[{"Key": "routing.http.response.server.enabled", "Value": "false"}])
    injected = [{"Key": "routing.http.response.x_frame_options.header_value", "Value": "DENY\r\nX: y"}]
    check("a header in a header", code_of(elb.modify_listener_attributes, ListenerArn=listener, Attributes=injected), "ValidationError")
    check("certificates", elb.describe_listener_certificates(ListenerArn=listener)["Certificates"], [])
    check("neither", code_of(elb.describe_listeners), "ValidationError")

    rules(c, balancer, listener, group)

    pages = elb.get_paginator("describe_listeners").paginate(LoadBalancerArn=balancer, PaginationConfig={"PageSize": 1})
    check("pages", [len(p["Listeners"]) for p in pages], [1, 1])
    elb.add_tags(ResourceArns=[listener, group], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    elb.remove_tags(ResourceArns=[listener], TagKeys=["a"])
    tags = elb.describe_tags(ResourceArns=[listener, group])["TagDescriptions"]
    check("tags", [[t["Key"] for t in d["Tags"]] for d in tags], [["b"], ["a", "b"]])
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    check("tag twice", code_of(elb.add_tags, ResourceArns=[group], Tags=twice), "DuplicateTagKeys")
    check("reserved tag", code_of(elb.add_tags, ResourceArns=[group], Tags=[{"Key": "aws:a", "Value": "1"}]), "ValidationError")
    elb.delete_listener(ListenerArn=listener)
    check("twice", code_of(elb.delete_listener, ListenerArn=listener), "ListenerNotFound")
    for arn in (balancer, other):
        elb.delete_load_balancer(LoadBalancerArn=arn)
    for arn in (group, grpc):
        check("free again", code_of(elb.delete_target_group, TargetGroupArn=arn), None)


def rules(c, balancer, listener, group):
    elb = c.elb
    path = [{"Field": "path-pattern", "Values": ["/a/*"]}]
    second = c.group("second")
    weighted = [{"Type": "forward", "ForwardConfig": {"TargetGroups": [
        {"TargetGroupArn": group, "Weight": 3}, {"TargetGroupArn": second, "Weight": 0},
    ], "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60}}}]

    def create(priority, conditions=path, actions=FIXED, **more):
        made = elb.create_rule(ListenerArn=listener, Priority=priority, Conditions=conditions, Actions=actions, **more)
        return made["Rules"][0]["RuleArn"]

    first = create(10, actions=weighted)
    last = create(20, conditions=[
        {"Field": "host-header", "HostHeaderConfig": {"Values": ["*.example.com"]}},
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "Values": ["b*"]}},
        {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "1"}]}},
        {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET"]}},
        {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}},
    ], actions=[{"Type": "redirect", "RedirectConfig": {"Host": "www.#{host}", "StatusCode": "HTTP_302"}}])
    check("priority taken", code_of(create, priority=10), "PriorityInUse")
    check("priority range", code_of(create, priority=0), "ValidationError")
    check("no condition", code_of(create, priority=30, conditions=[]), "ValidationError")
    six = [{"Field": "path-pattern", "Values": [f"/{n}" for n in range(6)]}]
    check("six values", code_of(create, priority=30, conditions=six), "ValidationError")
    loop = [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}}]
    check("a loop", code_of(create, priority=30, actions=loop), "InvalidLoadBalancerAction")
    cognito = [{"Type": "authenticate-cognito", "Order": 1, "AuthenticateCognitoConfig": {"UserPoolArn": "a", "UserPoolClientId": "b", "UserPoolDomain": "c"}}]
    check("authentication", code_of(create, priority=30, actions=cognito + FIXED), "InvalidConfigurationRequest")
    regex = [{"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/a"]}}]
    by_regex = elb.create_rule(ListenerArn=listener, Priority=30, Conditions=regex, Actions=forward(second), Transforms=[
        {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/a/(.*)", "Replace": "/$1"}]}},
    ])["Rules"][0]
    check("regex", by_regex["Conditions"][0]["PathPatternConfig"]["RegexValues"], ["^/a"])
    check("transform", by_regex["Transforms"][0]["UrlRewriteConfig"]["Rewrites"], [{"Regex": "^/a/(.*)", "Replace": "/$1"}])
    arn = by_regex["RuleArn"]
    host = [{"Type": "host-header-rewrite", "HostHeaderRewriteConfig": {"Rewrites": [{"Regex": "(", "Replace": "a"}]}}]
    check("broken transform", code_of(elb.modify_rule, RuleArn=arn, Transforms=host), "ValidationError")
    check("kept", len(elb.describe_rules(RuleArns=[arn])["Rules"][0]["Transforms"]), 1)
    check("reset", elb.modify_rule(RuleArn=arn, ResetTransforms=True)["Rules"][0]["Transforms"], [])
    elb.delete_rule(RuleArn=arn)
    broken = [{"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["a(?=b)"]}}]
    check("look-ahead", code_of(create, priority=30, conditions=broken), "ValidationError")

    listed = elb.describe_rules(ListenerArn=listener)["Rules"]
    check("order", [r["Priority"] for r in listed], ["10", "20", "default"])
    default = listed[-1]["RuleArn"]
    check("default by ARN", elb.describe_rules(RuleArns=[default])["Rules"][0]["IsDefault"], True)
    check("delete default", code_of(elb.delete_rule, RuleArn=default), "OperationNotPermitted")
    check("tags of default", elb.describe_tags(ResourceArns=[default])["TagDescriptions"][0]["Tags"], [])
    elb.set_rule_priorities(RulePriorities=[{"RuleArn": first, "Priority": 20}, {"RuleArn": last, "Priority": 10}])
    listed = elb.describe_rules(ListenerArn=listener)["Rules"]
    check("swapped", [r["RuleArn"] for r in listed[:2]], [last, first])
    taken = [{"RuleArn": first, "Priority": 10}]
    check("taken", code_of(elb.set_rule_priorities, RulePriorities=taken), "PriorityInUse")
    changed = elb.modify_rule(RuleArn=first, Conditions=[{"Field": "path-pattern", "Values": ["/b"]}])
    check("modified", changed["Rules"][0]["Conditions"][0]["Values"], ["/b"])
    check("kept", len(changed["Rules"][0]["Actions"][0]["ForwardConfig"]["TargetGroups"]), 2)
    check("in use by a rule", code_of(elb.delete_target_group, TargetGroupArn=second), "ResourceInUse")
    elb.delete_rule(RuleArn=first)
    check("twice", code_of(elb.delete_rule, RuleArn=first), "RuleNotFound")
    check("free again", code_of(elb.delete_target_group, TargetGroupArn=second), None)


def instances(c):
    """Registration follows the instance's state; needs something that runs instances."""
    images = c.ec2.describe_images(Owners=["amazon"], Filters=by("architecture", "x86_64"))["Images"]
    made = c.ec2.run_instances(ImageId=images[0]["ImageId"], InstanceType="t3.micro", MinCount=1, MaxCount=1)
    instance = made["Instances"][0]["InstanceId"]
    group = c.group("instances")
    target = {"TargetGroupArn": group, "Targets": [{"Id": instance}]}
    check("pending", code_of(c.elb.register_targets, **target), "InvalidTarget")
    c.ec2.get_waiter("instance_running").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1})
    c.elb.register_targets(**target)
    health = c.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    check("registered", [h["Target"] for h in health], [{"Id": instance, "Port": 80}])
    c.elb.deregister_targets(**target)
    c.elb.delete_target_group(TargetGroupArn=group)
    c.ec2.terminate_instances(InstanceIds=[instance])


def network_load_balancers(c):
    elb, ec2 = c.elb, c.ec2
    create, refused = elb.create_load_balancer, "InvalidConfigurationRequest"
    elastic = ec2.allocate_address(Domain="vpc")
    place = {"SubnetId": c.subnets[0], "AllocationId": elastic["AllocationId"]}
    made = create(Name="flows", Type="network", SubnetMappings=[place])["LoadBalancers"][0]
    arn = made["LoadBalancerArn"]
    check("kind in the ARN", ":loadbalancer/net/flows/" in arn, True)
    identity = arn.rsplit("/", 1)[1]
    check("DNS name", made["DNSName"], f"flows-{identity}.elb.us-east-1.amazonaws.com")
    check("hosted zone", made["CanonicalHostedZoneId"], "Z26RNL4JYFTOTI")
    address = made["AvailabilityZones"][0]["LoadBalancerAddresses"]
    check("its address", [(a["IpAddress"], a["AllocationId"]) for a in address], [(elastic["PublicIp"], elastic["AllocationId"])])
    check("no groups", made.get("SecurityGroups", []), [])
    nodes = ec2.describe_network_interfaces(Filters=by("description", f"ELB net/flows/{identity}"))["NetworkInterfaces"]
    check("interface type", [n["InterfaceType"] for n in nodes], ["network_load_balancer"])
    check("in use", code_of(create, Name="more", Type="network", SubnetMappings=[place]), "ResourceInUse")
    inside = {"SubnetId": c.subnets[1], "PrivateIPv4Address": "10.0.0.1"}
    for what, code, more in [
        ("address outside", refused, {"Type": "network", "Scheme": "internal", "SubnetMappings": [inside]}),
        ("private and public", refused, {"Type": "network", "SubnetMappings": [inside]}),
        ("Elastic IP inside", refused, {"Type": "network", "Scheme": "internal", "SubnetMappings": [place]}),
        ("Elastic IP of ALBs", refused, {"Scheme": "internet-facing", "SubnetMappings": [place]}),
        ("no such allocation", "AllocationIdNotFound", {"Type": "network", "SubnetMappings": [place | {"AllocationId": "eipalloc-00000000000000000"}]}),
        ("gateway", refused, {"Type": "gateway", "Subnets": c.subnets[:1]}),
    ]:
        check(what, code_of(create, Name="other", **more), code)
    group = ec2.create_security_group(GroupName="flows", Description="flows", VpcId=c.vpc)["GroupId"]
    check("groups later", code_of(elb.set_security_groups, LoadBalancerArn=arn, SecurityGroups=[group]), refused)
    zones = elb.set_subnets(LoadBalancerArn=arn, SubnetMappings=[place, {"SubnetId": c.subnets[1]}])["AvailabilityZones"]
    check("one more zone", len(zones), 2)
    check("one fewer", code_of(elb.set_subnets, LoadBalancerArn=arn, Subnets=c.subnets[1:2]), refused)

    def listed(call, **of):
        return {a["Key"]: a["Value"] for a in call(**of)["Attributes"]}

    attributes = listed(elb.describe_load_balancer_attributes, LoadBalancerArn=arn)
    check("cross-zone", attributes["load_balancing.cross_zone.enabled"], "false")
    check("none of HTTP", any(key.startswith("routing.http") for key in attributes), False)
    on = [{"Key": "load_balancing.cross_zone.enabled", "Value": "true"}]
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=on)

    tcp = c.group("tcp", Protocol="TCP")
    check_of = elb.describe_target_groups(TargetGroupArns=[tcp])["TargetGroups"][0]
    expected = {
        "HealthCheckProtocol": "TCP", "HealthCheckTimeoutSeconds": 10, "HealthCheckIntervalSeconds": 30,
        "HealthCheckPath": None, "Matcher": None, "ProtocolVersion": None,
    }
    for key, value in expected.items():
        check(key, check_of.get(key), value)
    c.group("tcp-quick", Protocol="TCP", HealthCheckIntervalSeconds=10)
    check("TCP too quick", code_of(c.group, name="other", Protocol="TCP", HealthCheckIntervalSeconds=9), "ValidationError")
    web = c.group("tcp-web", Protocol="TCP", HealthCheckProtocol="HTTP")
    check_of = elb.describe_target_groups(TargetGroupArns=[web])["TargetGroups"][0]
    check("timeout", (check_of["HealthCheckTimeoutSeconds"], check_of["Matcher"]["HttpCode"]), (6, "200-399"))
    check("path of TCP", code_of(c.group, name="other", Protocol="TCP", HealthCheckPath="/"), "ValidationError")
    udp = c.group("udp", Protocol="UDP", TargetType="ip")
    preserved = "preserve_client_ip.enabled"
    check("instances see clients", listed(elb.describe_target_group_attributes, TargetGroupArn=tcp)[preserved], "true")
    check("so does UDP", listed(elb.describe_target_group_attributes, TargetGroupArn=udp)[preserved], "true")
    cookies = [{"Key": "stickiness.type", "Value": "lb_cookie"}]
    check("no cookies", code_of(elb.modify_target_group_attributes, TargetGroupArn=tcp, Attributes=cookies), "ValidationError")
    sticky = [{"Key": "stickiness.enabled", "Value": "true"}]
    elb.modify_target_group_attributes(TargetGroupArn=tcp, Attributes=sticky)

    http = c.group("flows-http")
    for what, code, protocol, target in [
        ("HTTP group", "IncompatibleProtocols", "TCP", http),
        ("UDP group", "IncompatibleProtocols", "TCP", udp),
        ("TCP group", "IncompatibleProtocols", "TCP_UDP", tcp),
        ("HTTP listener", "ValidationError", "HTTP", http),
    ]:
        got = code_of(elb.create_listener, LoadBalancerArn=arn, Protocol=protocol, Port=53, DefaultActions=forward(target))
        check(what, got, code)
    got = code_of(elb.create_listener, LoadBalancerArn=arn, Protocol="TCP", Port=53, DefaultActions=FIXED)
    check("fixed response", got, "ValidationError")
    made = elb.create_listener(LoadBalancerArn=arn, Protocol="TCP", Port=53, DefaultActions=forward(tcp))
    listener = made["Listeners"][0]["ListenerArn"]
    idle = "tcp.idle_timeout.seconds"
    check("idle", listed(elb.describe_listener_attributes, ListenerArn=listener)[idle], "350")
    elb.modify_listener_attributes(ListenerArn=listener, Attributes=[{"Key": idle, "Value": "60"}])
    path = [{"Field": "path-pattern", "Values": ["/x"]}]
    rule = code_of(elb.create_rule, ListenerArn=listener, Priority=1, Conditions=path, Actions=forward(tcp))
    check("rules", rule, "OperationNotPermitted")
    behind(c)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    for one in [tcp, web, udp, http]:
        elb.delete_target_group(TargetGroupArn=one)


def behind(c):
    """An application load balancer as the target of flows."""
    elb = c.elb
    group = c.group("alb", Protocol="TCP", TargetType="alb")
    checked = elb.describe_target_groups(TargetGroupArns=[group])["TargetGroups"][0]
    check("checks", (checked["HealthCheckProtocol"], checked["Matcher"]["HttpCode"]), ("HTTP", "200-399"))
    check("TLS to ALBs", code_of(c.group, name="other", Protocol="TLS", TargetType="alb"), "ValidationError")
    check("connects", code_of(elb.modify_target_group, TargetGroupArn=group, HealthCheckProtocol="TCP"), "ValidationError")
    masked = [{"Key": "preserve_client_ip.enabled", "Value": "false"}]
    check("clients are seen", code_of(elb.modify_target_group_attributes, TargetGroupArn=group, Attributes=masked), "ValidationError")
    inner, other = (c.balancer(name)["LoadBalancerArn"] for name in ("inner", "other"))
    register = lambda arn, **more: code_of(elb.register_targets, TargetGroupArn=group, Targets=[{"Id": arn, **more}])
    check("no listener", register(inner), "InvalidTarget")
    c.listener(inner, 80, FIXED)
    c.listener(other, 80, FIXED)
    check("no load balancer", register("i-00000000000000000"), "InvalidTarget")
    check("registered", register(inner), None)
    check("second", register(other), "TooManyTargets")
    check("in use", code_of(elb.delete_load_balancer, LoadBalancerArn=inner), "ResourceInUse")
    targets = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    check("target", [(t["Target"]["Id"], t["Target"]["Port"]) for t in targets], [(inner, 80)])
    elb.delete_target_group(TargetGroupArn=group)
    for arn in (inner, other):
        elb.delete_load_balancer(LoadBalancerArn=arn)


def strangers(c, endpoint):
    """Another account sees nothing."""
    arn = c.balancer("mine")["LoadBalancerArn"]
    stranger = client("elbv2", endpoint, "999988887777")
    check("hidden", stranger.describe_load_balancers()["LoadBalancers"], [])
    code = code_of(stranger.describe_load_balancers, LoadBalancerArns=[arn])
    check("not found", code, "LoadBalancerNotFound")
    c.elb.delete_load_balancer(LoadBalancerArn=arn)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--instances", action="store_true", help="also run one")
    options = parser.parse_args()
    c = Cloud(options.endpoint, str(random.randrange(10**11, 10**12)))
    checker = Checker(c.elb)
    load_balancers(c)
    target_groups(c)
    listeners(c)
    network_load_balancers(c)
    strangers(c, options.endpoint)
    if options.instances:
        instances(c)
    c.elb.describe_account_limits()
    c.elb.describe_ssl_policies(Names=["ELBSecurityPolicy-2016-08"])
    failures.extend(f"not in the model: {problem}" for problem in sorted(checker.unknown))
    for failure in failures:
        print(failure)
    print(f"{sum(checker.calls.values())} calls of {len(checker.calls)} operations, {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
