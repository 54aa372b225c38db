"""The demo's stack, used and broken as a person would."""

import contextlib
import os
import signal
import time

import pytest

from conftest import NAME, eventually, run
from load import Load, once


@pytest.fixture
def name(resting):
    return resting.output_cached("alb_dns_name")


def zones_of(stack, instances):
    return {i["AvailabilityZone"] for i in stack.group()["Instances"] if i["InstanceId"] in instances}


def test_serves_from_both_zones_and_plans_empty(resting, name):
    seen, began = set(), time.time()
    with Load(name) as load, alarm_on_requests(resting.cloud) as state:
        eventually(lambda: len({i for _, _, i in load.answers if i}) >= 2, "two instances answer")
        seen = {i for _, _, i in load.answers if i}
        eventually(lambda: state() == "ALARM", "the alarm sees the requests")
    assert not Load.failed(load.answers)
    assert len(zones_of(resting, seen)) == 2
    counted = lambda metric: resting.cloud.measured("AWS/ApplicationELB", metric, began, LoadBalancer=load_balancer(resting.cloud))
    for metric in ("RequestCount", "HTTPCode_Target_2XX_Count"):
        eventually(lambda: counted(metric) >= len(load.answers), f"{metric} counts every request")
    plan = resting.tf("plan", "-detailed-exitcode", resting.state(), *resting.VARIABLES, check=False)
    assert plan.returncode == 0, plan.stdout + plan.stderr


def load_balancer(cloud):
    """As its metrics name it."""
    arn = cloud.client("elbv2").describe_load_balancers(Names=["web-ha"])["LoadBalancers"][0]["LoadBalancerArn"]
    return arn.split(":loadbalancer/")[1]


@contextlib.contextmanager
def alarm_on_requests(cloud):
    """Asks for the state of an alarm that a request sets off."""
    cloudwatch = cloud.client("cloudwatch")
    dimensions = [{"Name": "LoadBalancer", "Value": load_balancer(cloud)}]
    cloudwatch.put_metric_alarm(
        AlarmName="requests", Namespace="AWS/ApplicationELB", MetricName="RequestCount", Dimensions=dimensions,
        Statistic="Sum", Period=60, EvaluationPeriods=1, Threshold=0, ComparisonOperator="GreaterThanThreshold",
    )
    try:
        yield lambda: cloudwatch.describe_alarms(AlarmNames=["requests"])["MetricAlarms"][0]["StateValue"]
    finally:
        cloudwatch.delete_alarms(AlarmNames=["requests"])


def test_instances_are_what_they_should_be(resting):
    instance = resting.in_service()[0]["InstanceId"]
    cloud = resting.cloud
    assert cloud.shell(instance, "cat", "/proc/self/uid_map").split() != ["0", "0", "4294967295"], "no user namespace"
    assert cloud.shell(instance, "systemctl", "is-system-running").strip() == "running"
    assert "web" in cloud.shell(instance, "docker", "ps", "--format", "{{.Names}}")
    console = cloud.client("ec2").get_console_output(InstanceId=instance)["Output"]
    assert "web tier ready" in console


def test_a_private_address_is_not_reached_from_outside(resting):
    address = next(i["private_ip"] for i in resting.cloud.ps()["instances"] if i["state"] == "running")
    tried = resting.cloud.in_namespace("internet", "curl", "-s", "-m", "2", f"http://{address}/health", check=False)
    assert tried.returncode != 0
    # The host has no way into the VPC. Only asked of its routes: a packet would go to whoever
    # has that address in the host's own network.
    assert NAME not in run("ip", "route", "get", address, check=False).stdout


def test_each_zone_leaves_by_its_own_nat_gateway(resting):
    expected = resting.output("nat_addresses")
    expected = set(expected.values() if isinstance(expected, dict) else expected)
    seen, began = {}, time.time()
    for member in resting.in_service():
        seen[member["AvailabilityZone"]] = resting.cloud.shell(member["InstanceId"], "curl", "-s", "-m", "5", "http://checkip.amazonaws.com/").strip()
    assert set(seen.values()) == expected and len(seen) == 2
    gateways = resting.cloud.client("ec2").describe_nat_gateways(Filters=[{"Name": "state", "Values": ["available"]}])["NatGateways"]
    gateways = [g["NatGatewayId"] for g in gateways if g["NatGatewayAddresses"][0]["PublicIp"] in expected]
    assert len(gateways) == 2
    for gateway in gateways:
        counted = lambda metric: resting.cloud.measured("AWS/NATGateway", metric, began, NatGatewayId=gateway)
        # A request and its answer: a connection of some packets each way.
        eventually(lambda: counted("ConnectionEstablishedCount") >= 1, f"{gateway} counts its connection")
        for metric in ("BytesInFromSource", "BytesOutToDestination", "BytesInFromDestination", "BytesOutToSource"):
            eventually(lambda: counted(metric) >= 200, f"{gateway} counts {metric}")


def test_a_revoked_rule_cuts_new_connections_at_once(resting, name):
    ec2 = resting.cloud.client("ec2")
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "tag:Project", "Values": ["*"]}])["SecurityGroupRules"] or ec2.describe_security_group_rules()["SecurityGroupRules"]
    rule = next(r for r in rules if not r["IsEgress"] and r.get("ReferencedGroupInfo") and r["IpProtocol"] == "tcp" and r["FromPort"] == 80)
    ec2.revoke_security_group_ingress(GroupId=rule["GroupId"], SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])
    try:
        reason = lambda: {t["TargetHealth"].get("Reason") for t in resting.health()} & {"Target.Timeout"}
        eventually(reason, "targets time out")
        said = resting.cloud.nines("why", "web-ha", next(i["private_ip"] for i in resting.cloud.ps()["instances"] if i["state"] == "running"))
        assert "no, because of security group in" in said, said
    finally:
        # As its owner would: Terraform sees that the rule is gone and makes it again.
        resting.tf("apply", "-auto-approve", resting.state(), *resting.VARIABLES)
    eventually(lambda: once(name)[0] == 200, "the site answers again")


def test_a_dead_application_is_taken_out_and_replaced(resting, name):
    victim = resting.in_service()[0]["InstanceId"]
    with Load(name) as load:
        eventually(lambda: any(i == victim for _, _, i in load.answers), "the victim serves")
        killed = time.monotonic()
        resting.cloud.shell(victim, "docker", "kill", "web")
        unhealthy = lambda: next((t["TargetHealth"] for t in resting.health() if t["Target"]["Id"] == victim and t["TargetHealth"]["State"] == "unhealthy"), None)
        health = eventually(unhealthy, "the target is unhealthy")
        assert health["Reason"] in ("Target.FailedHealthChecks", "Target.Timeout"), health
        detected = time.monotonic()
        gone = lambda: victim not in {i["InstanceId"] for i in resting.group()["Instances"]}
        eventually(gone, "the group lets it go", within=180)
        eventually(resting.at_rest, "it is replaced", within=180)
    assert not Load.failed(load.since(detected + 2)), "errors after the target was taken out"
    assert all(answer[0] < detected + 2 for answer in Load.failed(load.answers)), killed
    causes = [a["Cause"] for a in resting.activities()]
    assert any("taken out of service in response to an ELB system health check failure." in c for c in causes), causes


def test_a_killed_instance_is_replaced(resting, name):
    victim = resting.in_service()[0]["InstanceId"]
    resting.cloud.nines("break", "instance", victim)
    eventually(lambda: victim not in {i["InstanceId"] for i in resting.group()["Instances"]}, "the group lets it go", within=120)
    eventually(resting.at_rest, "it is replaced", within=180)
    causes = [a["Cause"] for a in resting.activities()]
    assert any("in response to an EC2 health check indicating it has been terminated or stopped." in c for c in causes), causes
    assert once(name)[0] == 200


def test_a_broken_zone_is_survived_and_comes_back(resting, name):
    zone = resting.in_service()[0]["AvailabilityZone"]
    resting.cloud.nines("break", "az", zone)
    try:
        alive = lambda: zone not in next(b for b in resting.cloud.ps()["load_balancers"] if b["name"] == "web-ha")["in_service"]
        eventually(alive, "the zone leaves DNS")
        ill = {i["InstanceId"] for i in resting.group()["Instances"] if i["AvailabilityZone"] == zone}
        eventually(lambda: not (resting.healthy() & ill), "its targets are unhealthy")
        with Load(name) as load:
            eventually(lambda: len(load.answers) > 100, "a hundred requests")
        assert not Load.failed(load.answers)
        assert not zones_of(resting, {i for _, _, i in load.answers if i}) & {zone}
        short = lambda: any(a["StatusCode"] == "Failed" and "sufficient" in a.get("StatusMessage", "") and zone in a["StatusMessage"] for a in resting.activities())
        eventually(short, "launches there fail for want of capacity", within=180)
    finally:
        resting.cloud.nines("heal")
    eventually(resting.at_rest, "it is balanced again", within=240)
    assert {i["AvailabilityZone"] for i in resting.in_service()} == set(resting.group()["AvailabilityZones"])


def test_nothing_in_the_data_plane_needs_the_control_plane(resting, name):
    cloud = resting.cloud
    instance = resting.in_service()[0]["InstanceId"]
    with Load(name) as load:
        eventually(lambda: len(load.answers) > 20, "the load runs")
        os.kill(cloud.control_plane(), signal.SIGKILL)
        before = len(load.answers)
        token = "curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token"
        said = cloud.shell(instance, "sh", "-c", f"curl -sf -H \"X-aws-ec2-metadata-token: $({token})\" http://169.254.169.254/latest/meta-data/instance-id")
        assert said.strip() == instance
        assert cloud.shell(instance, "getent", "hosts", "registry.nines.internal")
        eventually(lambda: len(load.answers) > before + 100, "a hundred requests without a control plane")
        cloud.up()
        eventually(lambda: len(resting.healthy()) >= 2, "health is known again")
    assert not Load.failed(load.answers)
    plan = resting.tf("plan", "-detailed-exitcode", resting.state(), *resting.VARIABLES, check=False)
    assert plan.returncode == 0, plan.stdout + plan.stderr
    victim = resting.in_service()[0]["InstanceId"]
    cloud.nines("break", "instance", victim)
    eventually(lambda: victim not in {i["InstanceId"] for i in resting.group()["Instances"]}, "healing works again", within=120)
    eventually(resting.at_rest, "it is replaced", within=180)


def test_load_scales_out_and_rest_scales_in(resting, name):
    group = resting.group()
    least = group["MinSize"]
    with Load(name, clients=8, timeout=40, path="/burn?seconds=5"):
        eventually(lambda: resting.group()["DesiredCapacity"] > least, "the group grows", within=240)
        eventually(lambda: len(resting.in_service()) > least, "a new instance serves", within=180)
    alarms = resting.cloud.client("cloudwatch").describe_alarm_history(HistoryItemType="StateUpdate")["AlarmHistoryItems"]
    assert any("to ALARM" in item["HistorySummary"] for item in alarms)
    assert any("a monitor alarm" in a["Cause"] and "triggered policy" in a["Cause"] for a in resting.activities())
    eventually(lambda: resting.group()["DesiredCapacity"] == least, "the group shrinks to its minimum", within=300)
    eventually(resting.at_rest, "and rests", within=180)
    assert resting.group()["DesiredCapacity"] >= least
