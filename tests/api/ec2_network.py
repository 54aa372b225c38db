"""EC2's VPC actions against a running endpoint: shapes, rules, error codes.

    python tests/api/ec2_network.py --endpoint http://127.0.0.1:4566

Uses an account of its own, whose random number keeps runs apart.
"""

import argparse
import random
import sys
import time

from checks import check, failures
from strict import Checker, client, code_of


def tags(kind, **pairs):
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in pairs.items()]}]


def by(name, *values):
    return [{"Name": name, "Values": list(values)}]


def default_vpc(ec2):
    vpcs = ec2.describe_vpcs(Filters=by("is-default", "true"))["Vpcs"]
    check("one default VPC", len(vpcs), 1)
    vpc = vpcs[0]["VpcId"]
    check("its CIDR", vpcs[0]["CidrBlock"], "172.31.0.0/16")
    subnets = ec2.describe_subnets(Filters=by("vpc-id", vpc))["Subnets"]
    check("a subnet per zone", len(subnets), 6)
    check("a /20 has", {s["AvailableIpAddressCount"] for s in subnets}, {4091})
    check("public on launch", {s["MapPublicIpOnLaunch"] for s in subnets}, {True})
    table = ec2.describe_route_tables(Filters=by("vpc-id", vpc) + by("association.main", "true"))
    targets = [r["GatewayId"][:3] for r in table["RouteTables"][0]["Routes"]]
    check("main routes", targets, ["loc", "igw"])
    check("a second one", code_of(ec2.create_default_vpc), "DefaultVpcAlreadyExists")


def vpcs(ec2):
    vpc = ec2.create_vpc(CidrBlock="10.0.0.7/16", TagSpecifications=tags("vpc", Name="a"))["Vpc"]
    check("canonical CIDR", vpc["CidrBlock"], "10.0.0.0/16")
    check("tags at creation", vpc["Tags"], [{"Key": "Name", "Value": "a"}])
    vpc = vpc["VpcId"]
    here = by("vpc-id", vpc)
    acl = ec2.describe_network_acls(Filters=here)["NetworkAcls"][0]
    check("default NACL", (acl["IsDefault"], len(acl["Entries"])), (True, 4))
    group = ec2.describe_security_groups(Filters=here)["SecurityGroups"][0]
    check("default group", group["GroupName"], "default")
    members = group["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"]
    check("in from its members", members, group["GroupId"])
    attribute = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
    check("DNS names at first", attribute["EnableDnsHostnames"]["Value"], False)
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    attribute = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
    check("DNS names then", attribute["EnableDnsHostnames"]["Value"], True)
    more = ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="100.64.0.0/16")
    association = more["CidrBlockAssociation"]["AssociationId"]
    primary = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["CidrBlockAssociationSet"][0]
    ec2.disassociate_vpc_cidr_block(AssociationId=association)
    ec2.modify_vpc_tenancy(VpcId=vpc, InstanceTenancy="default")
    for call, arguments, code in [
        (ec2.modify_vpc_tenancy, dict(VpcId=vpc, InstanceTenancy="dedicated"), "InvalidParameterValue"),
        (ec2.create_vpc, dict(CidrBlock="10.0.0.0/8"), "InvalidVpc.Range"),
        (ec2.create_vpc, dict(CidrBlock="10.0.0.0/29"), "InvalidVpc.Range"),
        (ec2.create_vpc, dict(CidrBlock="10.0.0/16"), "InvalidParameterValue"),
        (ec2.create_vpc, dict(), "MissingParameter"),
        (ec2.create_vpc, dict(CidrBlock="10.1.0.0/16", DryRun=True), "DryRunOperation"),
        (ec2.create_vpc, dict(CidrBlock="10.1.0.0/16", InstanceTenancy="x"), "InvalidParameterValue"),
        (ec2.create_vpc, dict(CidrBlock="10.1.0.0/16", Ipv6Pool="x"), "UnsupportedOperation"),
        (ec2.create_vpc, dict(CidrBlock="10.1.0.0/16", TagSpecifications=tags("subnet", a="b")), "InvalidParameterValue"),
        (ec2.create_vpc, dict(CidrBlock="10.1.0.0/16", TagSpecifications=tags("vpc", **{"aws:a": "b"})), "InvalidParameterValue"),
        (ec2.describe_vpcs, dict(VpcIds=["vpc-00000000000000000"]), "InvalidVpcID.NotFound"),
        (ec2.describe_vpcs, dict(VpcIds=["vpc-x"]), "InvalidVpcID.Malformed"),
        (ec2.describe_vpcs, dict(Filters=by("colour", "red")), "InvalidParameterValue"),
        (ec2.describe_vpcs, dict(MaxResults=1), "InvalidParameterValue"),
        (ec2.describe_vpcs, dict(NextToken="?"), "InvalidNextToken"),
        (ec2.modify_vpc_attribute, dict(VpcId=vpc, EnableDnsHostnames={"Value": True}, EnableDnsSupport={"Value": True}), "InvalidParameterCombination"),
        (ec2.associate_vpc_cidr_block, dict(VpcId=vpc, CidrBlock="10.0.0.0/24"), "InvalidVpc.Range"),
        (ec2.associate_vpc_cidr_block, dict(VpcId=vpc, CidrBlock="192.168.0.0/16"), "InvalidVpc.Range"),
        (ec2.disassociate_vpc_cidr_block, dict(AssociationId=primary["AssociationId"]), "OperationNotPermitted"),
        (ec2.disassociate_vpc_cidr_block, dict(AssociationId=association), "InvalidVpcCidrBlockAssociationID.NotFound"),
        (ec2.delete_security_group, dict(GroupId=group["GroupId"]), "CannotDelete"),
        (ec2.delete_network_acl, dict(NetworkAclId=acl["NetworkAclId"]), "InvalidParameterValue"),
    ]:
        check(f"{call.__name__} {arguments}", code_of(call, **arguments), code)
    return vpc


def subnets(ec2, vpc):
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24", AvailabilityZone="us-east-1a")
    subnet = subnet["Subnet"]
    check("free addresses", subnet["AvailableIpAddressCount"], 251)
    check("zone id", subnet["AvailabilityZoneId"], "use1-az1")
    other = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.2.0/24", AvailabilityZoneId="use1-az2")
    check("by zone id", other["Subnet"]["AvailabilityZone"], "us-east-1b")
    subnet, other = subnet["SubnetId"], other["Subnet"]["SubnetId"]
    ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    ec2.modify_subnet_attribute(SubnetId=subnet, PrivateDnsHostnameTypeOnLaunch="resource-name")
    got = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]
    check("attributes", (got["MapPublicIpOnLaunch"], got["PrivateDnsNameOptionsOnLaunch"]["HostnameType"]), (True, "resource-name"))
    for arguments, code in [
        (dict(VpcId=vpc, CidrBlock="10.0.1.128/25"), "InvalidSubnet.Conflict"),
        (dict(VpcId=vpc, CidrBlock="10.1.0.0/24"), "InvalidSubnet.Range"),
        (dict(VpcId=vpc, CidrBlock="10.0.3.0/29"), "InvalidSubnet.Range"),
        (dict(VpcId=vpc, CidrBlock="10.0.3.0/24", AvailabilityZone="eu-west-1a"), "InvalidParameterValue"),
        (dict(VpcId="vpc-00000000", CidrBlock="10.0.3.0/24"), "InvalidVpcID.NotFound"),
        (dict(VpcId=vpc), "MissingParameter"),
    ]:
        check(f"create_subnet {arguments}", code_of(ec2.create_subnet, **arguments), code)
    check("a VPC with subnets", code_of(ec2.delete_vpc, VpcId=vpc), "DependencyViolation")
    return subnet, other


def routes(ec2, vpc, subnet):
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    table = ec2.create_route_table(VpcId=vpc, ClientToken="once")["RouteTable"]["RouteTableId"]
    again = ec2.create_route_table(VpcId=vpc, ClientToken="once")["RouteTable"]["RouteTableId"]
    check("idempotent by token", again, table)
    here = dict(RouteTableId=table)
    everywhere = dict(here, DestinationCidrBlock="0.0.0.0/0")
    check("gateway elsewhere", code_of(ec2.create_route, **everywhere, GatewayId=gateway), "InvalidParameterValue")
    check("detach", code_of(ec2.detach_internet_gateway, InternetGatewayId=gateway, VpcId=vpc), "Gateway.NotAttached")
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    check("attach twice", code_of(ec2.attach_internet_gateway, InternetGatewayId=gateway, VpcId=vpc), "Resource.AlreadyAssociated")
    second = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    check("a second one", code_of(ec2.attach_internet_gateway, InternetGatewayId=second, VpcId=vpc), "InvalidParameterValue")
    ec2.delete_internet_gateway(InternetGatewayId=second)
    ec2.create_route(**everywhere, GatewayId=gateway)
    association = ec2.associate_route_table(**here, SubnetId=subnet)["AssociationId"]
    main = ec2.describe_route_tables(Filters=by("vpc-id", vpc) + by("association.main", "true"))
    main = main["RouteTables"][0]
    for call, arguments, code in [
        (ec2.create_route, dict(everywhere, GatewayId="igw-00000000"), "InvalidGatewayID.NotFound"),
        (ec2.create_route, dict(everywhere, NatGatewayId="nat-00000000"), "NatGatewayNotFound"),
        (ec2.create_route, dict(here, DestinationCidrBlock="10.0.0.0/16", GatewayId=gateway), "RouteAlreadyExists"),
        (ec2.create_route, dict(here, DestinationCidrBlock="10.0.0.0/20", GatewayId=gateway), "InvalidParameterValue"),
        (ec2.create_route, dict(everywhere), "MissingParameter"),
        (ec2.replace_route, dict(here, DestinationCidrBlock="9.0.0.0/8", GatewayId=gateway), "InvalidRoute.NotFound"),
        (ec2.delete_route, dict(here, DestinationCidrBlock="9.0.0.0/8"), "InvalidRoute.NotFound"),
        (ec2.delete_route, dict(here, DestinationCidrBlock="10.0.0.0/16"), "InvalidParameterValue"),
        (ec2.delete_route_table, here, "DependencyViolation"),
        (ec2.delete_route_table, dict(RouteTableId=main["RouteTableId"]), "DependencyViolation"),
        (ec2.disassociate_route_table, dict(AssociationId=main["Associations"][0]["RouteTableAssociationId"]), "InvalidParameterValue"),
        (ec2.disassociate_route_table, dict(AssociationId="rtbassoc-00000000"), "InvalidAssociationID.NotFound"),
        (ec2.associate_route_table, dict(RouteTableId=main["RouteTableId"], SubnetId=subnet), "Resource.AlreadyAssociated"),
        (ec2.delete_internet_gateway, dict(InternetGatewayId=gateway), "DependencyViolation"),
    ]:
        check(f"{call.__name__} {arguments}", code_of(call, **arguments), code)
    ec2.create_route(**here, DestinationIpv6CidrBlock="::/0", GatewayId=gateway)
    shown = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
    check("IPv6 kept", shown[2]["DestinationIpv6CidrBlock"], "::/0")
    ec2.delete_route(**here, DestinationIpv6CidrBlock="::/0")
    new = ec2.replace_route_table_association(AssociationId=association, RouteTableId=main["RouteTableId"])
    ec2.replace_route_table_association(AssociationId=new["NewAssociationId"], RouteTableId=table)
    return gateway, table


def gateways(ec2, vpc, subnet, table, internet_gateway):
    elastic = ec2.allocate_address(Domain="vpc", TagSpecifications=tags("elastic-ip", Name="nat"))
    allocation = elastic["AllocationId"]
    gateway = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=allocation, ClientToken="n")["NatGateway"]
    again = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=allocation, ClientToken="n")["NatGateway"]
    check("idempotent by token", again["NatGatewayId"], gateway["NatGatewayId"])
    check("asked for only", gateway["State"], "pending")
    interface = gateway["NatGatewayAddresses"][0]["NetworkInterfaceId"]
    gateway = gateway["NatGatewayId"]
    ec2.get_waiter("nat_gateway_available").wait(NatGatewayIds=[gateway], WaiterConfig={"Delay": 1})
    shown = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"][0]
    check("its interface", (shown["InterfaceType"], shown["Description"]), ("nat_gateway", f"Interface for NAT Gateway {gateway}"))
    check("its address", shown["Association"]["PublicIp"], elastic["PublicIp"])
    association = ec2.describe_addresses(AllocationIds=[allocation])["Addresses"][0]["AssociationId"]
    attachment = shown["Attachment"]["AttachmentId"]
    for call, arguments, code in [
        (ec2.create_nat_gateway, dict(SubnetId=subnet, AllocationId=allocation), "Resource.AlreadyAssociated"),
        (ec2.create_nat_gateway, dict(SubnetId=subnet, AllocationId=allocation, ClientToken="n", TagSpecifications=tags("natgateway", a="b")), "IdempotentParameterMismatch"),
        (ec2.create_nat_gateway, dict(SubnetId=subnet), "MissingParameter"),
        (ec2.create_nat_gateway, dict(SubnetId=subnet, AllocationId="eipalloc-00000000"), "InvalidAllocationID.NotFound"),
        (ec2.release_address, dict(AllocationId=allocation), "InvalidIPAddress.InUse"),
        (ec2.disassociate_address, dict(AssociationId=association), "AuthFailure"),
        (ec2.detach_network_interface, dict(AttachmentId=attachment), "OperationNotPermitted"),
        (ec2.delete_network_interface, dict(NetworkInterfaceId=interface), "InvalidParameterValue"),
        (ec2.detach_internet_gateway, dict(InternetGatewayId=internet_gateway, VpcId=vpc), "DependencyViolation"),
        (ec2.delete_subnet, dict(SubnetId=subnet), "DependencyViolation"),
        (ec2.release_address, dict(PublicIp="198.51.100.1"), "InvalidAddress.NotFound"),
        (ec2.describe_addresses, dict(AllocationIds=["eipalloc-00000000"]), "InvalidAllocationID.NotFound"),
    ]:
        check(f"{call.__name__} {arguments}", code_of(call, **arguments), code)
    extra = [ec2.allocate_address()["AllocationId"] for _ in range(4)]
    check("the sixth address", code_of(ec2.allocate_address), "AddressLimitExceeded")
    for one in extra:
        ec2.release_address(AllocationId=one)
    route = dict(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    ec2.replace_route(**route, GatewayId=gateway)
    shown = ec2.describe_route_tables(RouteTableIds=[route["RouteTableId"]])["RouteTables"][0]["Routes"]
    check("a NAT gateway under the other name", [r.get("GatewayId") for r in shown if r.get("NatGatewayId") == gateway], [None])
    ec2.replace_route(**route, NatGatewayId=gateway)
    ec2.delete_nat_gateway(NatGatewayId=gateway)
    ec2.get_waiter("nat_gateway_deleted").wait(NatGatewayIds=[gateway], WaiterConfig={"Delay": 1})
    routes = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
    check("black hole", [r["State"] for r in routes], ["active", "blackhole"])
    gone = code_of(ec2.describe_network_interfaces, NetworkInterfaceIds=[interface])
    check("its interface", gone, "InvalidNetworkInterfaceID.NotFound")
    ec2.release_address(AllocationId=allocation)
    ec2.replace_route(**route, GatewayId=internet_gateway)


def groups(ec2, vpc):
    made = ec2.create_security_group(VpcId=vpc, GroupName="web", Description="web servers")
    web = made["GroupId"]
    other = ec2.create_security_group(VpcId=vpc, GroupName="lb", Description="balancer")["GroupId"]
    http = dict(IpProtocol="tcp", FromPort=80, ToPort=80)
    world = dict(http, IpRanges=[{"CidrIp": "0.0.0.0/0", "Description": "world"}])
    peer = dict(http, UserIdGroupPairs=[{"GroupId": other}])
    rules = ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[world, peer])
    rules = [r["SecurityGroupRuleId"] for r in rules["SecurityGroupRules"]]
    ec2.authorize_security_group_ingress(GroupId=web, IpProtocol="icmp", FromPort=-1, ToPort=-1, CidrIp="10.0.0.0/8")
    shown = ec2.describe_security_groups(GroupIds=[web])["SecurityGroups"][0]
    check("gathered", len(shown["IpPermissions"]), 2)
    check("egress at first", [p["IpProtocol"] for p in shown["IpPermissionsEgress"]], ["-1"])
    here = dict(GroupId=web)
    for call, arguments, code in [
        (ec2.create_security_group, dict(VpcId=vpc, GroupName="web", Description="x"), "InvalidGroup.Duplicate"),
        (ec2.create_security_group, dict(VpcId=vpc, GroupName="default", Description="x"), "InvalidParameterValue"),
        (ec2.create_security_group, dict(VpcId=vpc, GroupName="sg-x", Description="x"), "InvalidParameterValue"),
        (ec2.create_security_group, dict(VpcId=vpc, GroupName="y"), "MissingParameter"),
        (ec2.authorize_security_group_ingress, dict(here, IpPermissions=[world]), "InvalidPermission.Duplicate"),
        (ec2.authorize_security_group_ingress, dict(here, IpPermissions=[dict(world, FromPort=90)]), "InvalidParameterValue"),
        (ec2.authorize_security_group_ingress, dict(here, IpPermissions=[dict(world, IpProtocol="tpc")]), "InvalidParameterValue"),
        (ec2.authorize_security_group_ingress, dict(here, IpPermissions=[dict(http, IpRanges=[{"CidrIp": "nowhere"}])]), "InvalidParameterValue"),
        (ec2.authorize_security_group_ingress, dict(here, IpPermissions=[dict(http, UserIdGroupPairs=[{"GroupId": "sg-00000000"}])]), "InvalidGroup.NotFound"),
        (ec2.authorize_security_group_ingress, here, "MissingParameter"),
        (ec2.revoke_security_group_ingress, dict(here, IpPermissions=[dict(world, ToPort=81)]), "InvalidPermission.NotFound"),
        (ec2.revoke_security_group_ingress, dict(here, SecurityGroupRuleIds=["sgr-00000000"]), "InvalidSecurityGroupRuleId.NotFound"),
        (ec2.delete_security_group, dict(GroupId=other), "DependencyViolation"),
        (ec2.describe_security_groups, dict(GroupIds=["sg-00000000"]), "InvalidGroup.NotFound"),
        (ec2.describe_security_groups, dict(GroupNames=["nobody"]), "InvalidGroup.NotFound"),
        (ec2.describe_security_groups, dict(GroupIds=["web"]), "InvalidGroupId.Malformed"),
    ]:
        check(f"{call.__name__} {arguments}", code_of(call, **arguments), code)
    all_of_vpc = ec2.get_security_groups_for_vpc(VpcId=vpc, Filters=by("group-name", "web", "lb"))
    check("of the VPC", len(all_of_vpc["SecurityGroupForVpcs"]), 2)
    filters = by("group-id", web) + by("group-name", "w?b", "x")
    check("wildcards", len(ec2.describe_security_groups(Filters=filters)["SecurityGroups"]), 1)
    changed = dict(IpProtocol="tcp", FromPort=8080, ToPort=8080, CidrIpv4="0.0.0.0/0")
    ec2.modify_security_group_rules(GroupId=web, SecurityGroupRules=[{"SecurityGroupRuleId": rules[0], "SecurityGroupRule": changed}])
    ec2.update_security_group_rule_descriptions_ingress(GroupId=web, SecurityGroupRuleDescriptions=[{"SecurityGroupRuleId": rules[1], "Description": "balancer"}])
    ec2.create_tags(Resources=[rules[1]], Tags=[{"Key": "k", "Value": "v"}])
    shown = ec2.describe_security_group_rules(SecurityGroupRuleIds=rules)["SecurityGroupRules"]
    shown = {r["SecurityGroupRuleId"]: r for r in shown}
    check("modified", shown[rules[0]]["FromPort"], 8080)
    check("described and tagged", (shown[rules[1]]["Description"], shown[rules[1]]["Tags"]), ("balancer", [{"Key": "k", "Value": "v"}]))
    ec2.revoke_security_group_ingress(GroupId=web, SecurityGroupRuleIds=[rules[1]])
    for n in range(58):
        ec2.authorize_security_group_ingress(GroupId=web, IpProtocol="udp", FromPort=n, ToPort=n, CidrIp="10.0.0.0/8")
    full = code_of(ec2.authorize_security_group_ingress, GroupId=web, IpProtocol="udp", FromPort=99, ToPort=99, CidrIp="10.0.0.0/8")
    check("the 61st rule", full, "RulesPerSecurityGroupLimitExceeded")
    pages = list(ec2.get_paginator("describe_security_group_rules").paginate(Filters=by("group-id", web), PaginationConfig={"PageSize": 7}))
    ids = [r["SecurityGroupRuleId"] for p in pages for r in p["SecurityGroupRules"]]
    check("pages", (len(pages), len(ids), len(set(ids))), (9, 61, 61))
    ec2.delete_security_group(GroupId=other)
    return web


def acls(ec2, vpc, subnet):
    acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    entry = dict(NetworkAclId=acl, Egress=False, Protocol="6", RuleAction="allow", CidrBlock="0.0.0.0/0")
    web = dict(entry, RuleNumber=100, PortRange={"From": 80, "To": 80})
    ec2.create_network_acl_entry(**web)
    ec2.create_network_acl_entry(**dict(entry, RuleNumber=110, Protocol="1", IcmpTypeCode={"Type": 8, "Code": -1}))
    for call, arguments, code in [
        (ec2.create_network_acl_entry, web, "NetworkAclEntryAlreadyExists"),
        (ec2.create_network_acl_entry, dict(web, RuleNumber=0), "InvalidParameterValue"),
        (ec2.create_network_acl_entry, dict(web, RuleNumber=32767), "InvalidParameterValue"),
        (ec2.create_network_acl_entry, dict(entry, RuleNumber=5), "MissingParameter"),
        (ec2.create_network_acl_entry, dict(web, RuleNumber=5, RuleAction="maybe"), "InvalidParameterValue"),
        (ec2.replace_network_acl_entry, dict(web, RuleNumber=5), "InvalidNetworkAclEntry.NotFound"),
        (ec2.delete_network_acl_entry, dict(NetworkAclId=acl, RuleNumber=5, Egress=True), "InvalidNetworkAclEntry.NotFound"),
        (ec2.describe_network_acls, dict(NetworkAclIds=["acl-00000000"]), "InvalidNetworkAclID.NotFound"),
    ]:
        check(f"{call.__name__} {arguments}", code_of(call, **arguments), code)
    ec2.replace_network_acl_entry(**dict(web, RuleAction="deny"))
    old = ec2.describe_network_acls(Filters=by("association.subnet-id", subnet))["NetworkAcls"][0]
    association = next(a for a in old["Associations"] if a["SubnetId"] == subnet)["NetworkAclAssociationId"]
    new = ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=acl)["NewAssociationId"]
    check("in use", code_of(ec2.delete_network_acl, NetworkAclId=acl), "DependencyViolation")
    ec2.replace_network_acl_association(AssociationId=new, NetworkAclId=old["NetworkAclId"])
    ec2.delete_network_acl(NetworkAclId=acl)


def interfaces(ec2, subnet, group):
    eni = ec2.create_network_interface(SubnetId=subnet, PrivateIpAddress="10.0.1.9", SecondaryPrivateIpAddressCount=2, Groups=[group], TagSpecifications=tags("network-interface", Name="spare"))
    eni = eni["NetworkInterface"]
    check("addresses", len(eni["PrivateIpAddresses"]), 3)
    check("name", eni["PrivateDnsName"], "ip-10-0-1-9.ec2.internal")
    eni = eni["NetworkInterfaceId"]
    here = dict(NetworkInterfaceId=eni)
    free = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AvailableIpAddressCount"]
    check("free addresses", free, 248)
    ec2.modify_network_interface_attribute(**here, SourceDestCheck={"Value": False})
    attribute = ec2.describe_network_interface_attribute(**here, Attribute="sourceDestCheck")
    check("source/dest check", attribute["SourceDestCheck"]["Value"], False)
    ec2.assign_private_ip_addresses(**here, PrivateIpAddresses=["10.0.1.77"])
    elastic = ec2.allocate_address()
    first = ec2.associate_address(AllocationId=elastic["AllocationId"], **here, PrivateIpAddress="10.0.1.77")
    moved = ec2.associate_address(AllocationId=elastic["AllocationId"], **here)
    check("moved", first["AssociationId"] != moved["AssociationId"], True)
    pinned = dict(here, AllocationId=elastic["AllocationId"], PrivateIpAddress="10.0.1.77", AllowReassociation=False)
    for call, arguments, code in [
        (ec2.associate_address, pinned, "Resource.AlreadyAssociated"),
        (ec2.associate_address, dict(here, AllocationId=elastic["AllocationId"], PrivateIpAddress="10.0.1.200"), "InvalidParameterValue"),
        (ec2.create_network_interface, dict(SubnetId=subnet, PrivateIpAddress="10.0.1.9"), "InvalidIPAddress.InUse"),
        (ec2.create_network_interface, dict(SubnetId=subnet, PrivateIpAddress="10.0.1.3"), "InvalidParameterValue"),
        (ec2.create_network_interface, dict(SubnetId=subnet, PrivateIpAddress="10.9.9.9"), "InvalidParameterValue"),
        (ec2.create_network_interface, dict(SubnetId="subnet-00000000"), "InvalidSubnetID.NotFound"),
        (ec2.create_network_interface, dict(SubnetId=subnet, Groups=["sg-00000000"]), "InvalidGroup.NotFound"),
        (ec2.unassign_private_ip_addresses, dict(here, PrivateIpAddresses=["10.0.1.9"]), "InvalidParameterValue"),
        (ec2.attach_network_interface, dict(here, InstanceId="i-00000000", DeviceIndex=1), "InvalidInstanceID.NotFound"),
        (ec2.detach_network_interface, dict(AttachmentId="eni-attach-00000000"), "InvalidAttachmentID.NotFound"),
        (ec2.delete_security_group, dict(GroupId=group), "DependencyViolation"),
    ]:
        check(f"{call.__name__} {arguments}", code_of(call, **arguments), code)
    ec2.unassign_private_ip_addresses(**here, PrivateIpAddresses=["10.0.1.77"])
    ec2.delete_network_interface(**here)
    left = ec2.describe_addresses(AllocationIds=[elastic["AllocationId"]])["Addresses"][0]
    check("free again", "AssociationId" in left, False)
    ec2.describe_addresses_attribute(AllocationIds=[elastic["AllocationId"]], Attribute="domain-name")
    ec2.release_address(AllocationId=elastic["AllocationId"])
    small = ec2.create_subnet(VpcId=ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"], CidrBlock="10.0.9.0/28")
    small = small["Subnet"]["SubnetId"]
    made = [ec2.create_network_interface(SubnetId=small)["NetworkInterface"] for _ in range(11)]
    check("all different", len({e["PrivateIpAddress"] for e in made}), 11)
    full = code_of(ec2.create_network_interface, SubnetId=small)
    check("full", full, "InsufficientFreeAddressesInSubnet")
    for e in made:
        ec2.delete_network_interface(NetworkInterfaceId=e["NetworkInterfaceId"])
    ec2.delete_subnet(SubnetId=small)


def options(ec2, vpc):
    made = ec2.create_dhcp_options(DhcpConfigurations=[{"Key": "domain-name", "Values": ["a.internal"]}, {"Key": "domain-name-servers", "Values": ["AmazonProvidedDNS"]}])
    made = made["DhcpOptions"]["DhcpOptionsId"]
    ec2.associate_dhcp_options(DhcpOptionsId=made, VpcId=vpc)
    check("in use", code_of(ec2.delete_dhcp_options, DhcpOptionsId=made), "DependencyViolation")
    ec2.associate_dhcp_options(DhcpOptionsId="default", VpcId=vpc)
    ec2.delete_dhcp_options(DhcpOptionsId=made)
    check("gone", code_of(ec2.describe_dhcp_options, DhcpOptionsIds=[made]), "InvalidDhcpOptionID.NotFound")
    bad = [{"Key": "colour", "Values": ["red"]}]
    check("unknown option", code_of(ec2.create_dhcp_options, DhcpConfigurations=bad), "InvalidParameterValue")


def tagging(ec2, vpc, subnet):
    ec2.create_tags(Resources=[vpc, subnet], Tags=[{"Key": "env", "Value": "x"}, {"Key": "n", "Value": ""}])
    found = ec2.describe_tags(Filters=by("key", "env"))["Tags"]
    check("described", {(t["ResourceId"], t["ResourceType"]) for t in found}, {(vpc, "vpc"), (subnet, "subnet")})
    check("by tag", len(ec2.describe_subnets(Filters=by("tag:env", "x", "y"))["Subnets"]), 1)
    check("by key", len(ec2.describe_subnets(Filters=by("tag-key", "en*"))["Subnets"]), 1)
    ec2.delete_tags(Resources=[vpc], Tags=[{"Key": "env", "Value": "other"}])
    check("other value", len(ec2.describe_vpcs(Filters=by("tag:env", "x"))["Vpcs"]), 1)
    ec2.delete_tags(Resources=[vpc], Tags=[{"Key": "env", "Value": "x"}])
    check("deleted", len(ec2.describe_vpcs(Filters=by("tag:env", "x"))["Vpcs"]), 0)
    many = [{"Key": str(n), "Value": ""} for n in range(50)]
    for arguments, code in [
        (dict(Resources=[vpc], Tags=many), "TagLimitExceeded"),
        (dict(Resources=[vpc], Tags=[{"Key": "k" * 129, "Value": ""}]), "InvalidParameterValue"),
        (dict(Resources=[vpc], Tags=[{"Key": "aws:x", "Value": ""}]), "InvalidParameterValue"),
        (dict(Resources=["nonsense"], Tags=[{"Key": "k", "Value": ""}]), "InvalidID"),
        (dict(Resources=["vpc-00000000"], Tags=[{"Key": "k", "Value": ""}]), "InvalidVpcID.NotFound"),
        (dict(Resources=[], Tags=[{"Key": "k", "Value": ""}]), "MissingParameter"),
    ]:
        check(f"create_tags {arguments}", code_of(ec2.create_tags, **arguments), code)


def surroundings(ec2):
    zones = ec2.describe_availability_zones(Filters=by("zone-name", "us-east-1*"))["AvailabilityZones"]
    check("zones", len(zones), 6)
    check("no such zone", code_of(ec2.describe_availability_zones, ZoneNames=["us-east-1z"]), "InvalidParameterValue")
    check("regions", len(ec2.describe_regions()["Regions"]) >= 6, True)
    check("no such region", code_of(ec2.describe_regions, RegionNames=["moon"]), "InvalidParameterValue")
    names = [a["AttributeName"] for a in ec2.describe_account_attributes()["AccountAttributes"]]
    check("account", "default-vpc" in names, True)
    lists = ec2.describe_managed_prefix_lists(Filters=by("prefix-list-name", "*.s3"))["PrefixLists"]
    check("prefix list", len(lists), 1)
    entries = ec2.get_managed_prefix_list_entries(PrefixListId=lists[0]["PrefixListId"])["Entries"]
    check("entries", len(entries) > 0, True)
    ec2.describe_prefix_lists()


def prefix_lists(ec2, group):
    made = ec2.create_managed_prefix_list(PrefixListName="offices", AddressFamily="IPv4", MaxEntries=2, Entries=[{"Cidr": "192.0.2.0/24", "Description": "a"}], TagSpecifications=tags("prefix-list", Name="offices"))
    made = made["PrefixList"]["PrefixListId"]
    here = dict(PrefixListId=made)
    ec2.modify_managed_prefix_list(**here, CurrentVersion=1, AddEntries=[{"Cidr": "198.51.100.0/24"}])
    entries = lambda **more: [e["Cidr"] for e in ec2.get_managed_prefix_list_entries(**here, **more)["Entries"]]
    check("entries then", entries(), ["192.0.2.0/24", "198.51.100.0/24"])
    check("entries before", entries(TargetVersion=1), ["192.0.2.0/24"])
    rule = dict(GroupId=group, IpPermissions=[dict(IpProtocol="tcp", FromPort=22, ToPort=22, PrefixListIds=[here])])
    ec2.authorize_security_group_egress(**rule)
    users = ec2.get_managed_prefix_list_associations(**here)["PrefixListAssociations"]
    check("used by", [u["ResourceId"] for u in users], [group])
    aws = ec2.describe_prefix_lists()["PrefixLists"][0]["PrefixListId"]
    for call, arguments, code in [
        (ec2.modify_managed_prefix_list, dict(here, CurrentVersion=1, AddEntries=[{"Cidr": "203.0.113.0/24"}]), "PrefixListVersionMismatch"),
        (ec2.modify_managed_prefix_list, dict(here, CurrentVersion=2, AddEntries=[{"Cidr": "203.0.113.0/24"}]), "PrefixListMaxEntriesExceeded"),
        (ec2.modify_managed_prefix_list, dict(here, CurrentVersion=2, RemoveEntries=[{"Cidr": "203.0.113.0/24"}]), "InvalidParameterValue"),
        (ec2.modify_managed_prefix_list, dict(PrefixListId=aws, PrefixListName="mine"), "OperationNotPermitted"),
        (ec2.create_managed_prefix_list, dict(PrefixListName="x", AddressFamily="IPv4", MaxEntries=1, Entries=[{"Cidr": "::/0"}]), "InvalidParameterValue"),
        (ec2.create_managed_prefix_list, dict(PrefixListName="x", AddressFamily="IPv4", MaxEntries=0), "InvalidParameterValue"),
        (ec2.delete_managed_prefix_list, here, "DependencyViolation"),
        (ec2.describe_managed_prefix_lists, dict(PrefixListIds=["pl-00000000"]), "InvalidPrefixListID.NotFound"),
    ]:
        check(f"{call.__name__} {arguments}", code_of(call, **arguments), code)
    ec2.restore_managed_prefix_list_version(**here, PreviousVersion=1, CurrentVersion=2)
    check("entries restored", entries(), ["192.0.2.0/24"])
    ec2.revoke_security_group_egress(**rule)
    ec2.delete_managed_prefix_list(**here)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    endpoint = parser.parse_args().endpoint
    account = f"{random.randrange(10**11, 10**12)}"
    began = time.monotonic()
    ec2 = client("ec2", endpoint, account)
    checker = Checker(ec2)
    default_vpc(ec2)
    surroundings(ec2)
    vpc = vpcs(ec2)
    subnet, other = subnets(ec2, vpc)
    gateway, table = routes(ec2, vpc, subnet)
    gateways(ec2, vpc, subnet, table, gateway)
    group = groups(ec2, vpc)
    prefix_lists(ec2, group)
    acls(ec2, vpc, subnet)
    interfaces(ec2, subnet, group)
    options(ec2, vpc)
    tagging(ec2, vpc, subnet)
    stranger = client("ec2", endpoint, f"{int(account) - 1}")
    check("another account", code_of(stranger.delete_vpc, VpcId=vpc), "InvalidVpcID.NotFound")
    abroad = client("ec2", endpoint, account, "eu-west-1")
    check("another region", code_of(abroad.describe_vpcs, VpcIds=[vpc]), "InvalidVpcID.NotFound")
    ec2.delete_security_group(GroupId=group)
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_subnet(SubnetId=other)
    ec2.delete_route_table(RouteTableId=table)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    ec2.delete_vpc(VpcId=vpc)
    check("the VPC", code_of(ec2.describe_vpcs, VpcIds=[vpc]), "InvalidVpcID.NotFound")
    for kind, call in [
        ("NetworkAcls", ec2.describe_network_acls),
        ("SecurityGroups", ec2.describe_security_groups),
        ("RouteTables", ec2.describe_route_tables),
    ]:
        check(f"{kind} of it", call(Filters=by("vpc-id", vpc))[kind], [])
    failures.extend(f"not in botocore's model: {u}" for u in sorted(checker.unknown))
    for failure in failures:
        print(failure)
    calls = sum(checker.calls.values())
    seconds = time.monotonic() - began
    print(f"{calls} calls of {len(checker.calls)} actions in {seconds:.1f} s, {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
