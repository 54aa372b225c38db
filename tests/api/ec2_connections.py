"""What leads out of a VPC besides the internet, IPv6, flow logs, volumes and placement groups.

    python tests/api/ec2_connections.py --endpoint http://127.0.0.1:4566

Uses accounts of its own, whose random numbers keep runs apart.
"""

import argparse
import ipaddress
import random
import sys
import time

from checks import check, failures, refused
from strict import Checker, client, code_of


def eventually(what, ask, expected, within=60):
    """Asks until the answer is right: states that controllers observe take a pass or two."""
    end = time.monotonic() + within
    got = ask()
    while got != expected and time.monotonic() < end:
        time.sleep(0.1)
        got = ask()
    check(what, got, expected)


def tags(kind, **pairs):
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in pairs.items()]}]


def by(name, *values):
    return [{"Name": name, "Values": list(values)}]


def network(ec2, cidr):
    vpc = ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
    block = ipaddress.ip_network(cidr)
    first = str(next(block.subnets(new_prefix=24)))
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=first, AvailabilityZone="us-east-1a")["Subnet"]["SubnetId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    return vpc, subnet, table


def routes(ec2, table):
    return ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]


def ipv6(ec2, vpc, subnet, table):
    added = ec2.associate_vpc_cidr_block(VpcId=vpc, AmazonProvidedIpv6CidrBlock=True)["Ipv6CidrBlockAssociation"]
    block = ipaddress.ip_network(added["Ipv6CidrBlock"])
    check("a /56", block.prefixlen, 56)
    shown = ec2.describe_vpcs(Filters=by("ipv6-cidr-block-association.ipv6-cidr-block", str(block)))["Vpcs"]
    check("found by its block", [v["VpcId"] for v in shown], [vpc])
    mine = str(next(block.subnets(new_prefix=64)))
    here = dict(SubnetId=subnet)
    refused(
        (ec2.modify_subnet_attribute, dict(here, AssignIpv6AddressOnCreation={"Value": True}), "InvalidParameterValue"),
        (ec2.associate_subnet_cidr_block, dict(here, Ipv6CidrBlock="2001:db8:ffff:ffff::/64"), "InvalidSubnet.Range"),
        (ec2.associate_subnet_cidr_block, dict(here, Ipv6CidrBlock=mine.replace("/64", "/80")), "InvalidSubnet.Range"),
    )
    link = ec2.associate_subnet_cidr_block(**here, Ipv6CidrBlock=mine)["Ipv6CidrBlockAssociation"]["AssociationId"]
    ec2.modify_subnet_attribute(**here, AssignIpv6AddressOnCreation={"Value": True})
    interface = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]
    got = [a["Ipv6Address"] for a in interface["Ipv6Addresses"]]
    check("an address of the subnet", [ipaddress.ip_address(a) in ipaddress.ip_network(mine) for a in got], [True])
    eni = interface["NetworkInterfaceId"]
    more = ec2.assign_ipv6_addresses(NetworkInterfaceId=eni, Ipv6AddressCount=2)["AssignedIpv6Addresses"]
    check("two more", len(more), 2)
    found = ec2.describe_network_interfaces(Filters=by("ipv6-addresses.ipv6-address", more[0]))["NetworkInterfaces"]
    check("found by address", [i["NetworkInterfaceId"] for i in found], [eni])
    refused(
        (ec2.assign_ipv6_addresses, dict(NetworkInterfaceId=eni, Ipv6Addresses=[more[0]]), "InvalidIPAddress.InUse"),
        (ec2.disassociate_subnet_cidr_block, dict(AssociationId=link), "DependencyViolation"),
        (ec2.disassociate_vpc_cidr_block, dict(AssociationId=added["AssociationId"]), "DependencyViolation"),
    )
    ec2.unassign_ipv6_addresses(NetworkInterfaceId=eni, Ipv6Addresses=more)
    ec2.delete_network_interface(NetworkInterfaceId=eni)
    egress = ec2.create_egress_only_internet_gateway(VpcId=vpc, TagSpecifications=tags("egress-only-internet-gateway", Name="out"))
    egress = egress["EgressOnlyInternetGateway"]["EgressOnlyInternetGatewayId"]
    ec2.create_route(RouteTableId=table, DestinationIpv6CidrBlock="::/0", EgressOnlyInternetGatewayId=egress)
    check("its route", [r["State"] for r in routes(ec2, table) if "EgressOnlyInternetGatewayId" in r], ["active"])
    gone = dict(EgressOnlyInternetGatewayId=egress)
    refused(
        (ec2.create_route, dict(gone, RouteTableId=table, DestinationCidrBlock="0.0.0.0/0"), "InvalidParameterCombination"),
        (ec2.delete_egress_only_internet_gateway, gone, "DependencyViolation"),
        (ec2.delete_route, dict(RouteTableId=table, DestinationIpv6CidrBlock=str(block)), "InvalidParameterValue"),
    )
    check("tagged", len(ec2.describe_egress_only_internet_gateways(Filters=by("tag:Name", "out"))["EgressOnlyInternetGateways"]), 1)
    ec2.delete_route(RouteTableId=table, DestinationIpv6CidrBlock="::/0")
    ec2.delete_egress_only_internet_gateway(**gone)
    ec2.modify_subnet_attribute(**here, AssignIpv6AddressOnCreation={"Value": False})
    ec2.disassociate_subnet_cidr_block(AssociationId=link)
    ec2.disassociate_vpc_cidr_block(AssociationId=added["AssociationId"])


def vpn(ec2, vpc, table):
    customer = ec2.create_customer_gateway(Type="ipsec.1", BgpAsn=65010, IpAddress="192.0.2.7", DeviceName="d")["CustomerGateway"]
    again = ec2.create_customer_gateway(Type="ipsec.1", BgpAsn=65010, IpAddress="192.0.2.7", DeviceName="d")["CustomerGateway"]
    check("the same end", again["CustomerGatewayId"], customer["CustomerGatewayId"])
    found = ec2.describe_customer_gateways(Filters=by("ip-address", "192.0.2.*"))["CustomerGateways"]
    check("found", [g["BgpAsn"] for g in found], ["65010"])
    gateway = ec2.create_vpn_gateway(Type="ipsec.1", AmazonSideAsn=64620)["VpnGateway"]["VpnGatewayId"]
    here = dict(VpcId=vpc, VpnGatewayId=gateway)
    spread = dict(GatewayId=gateway, RouteTableId=table)
    refused(
        (ec2.enable_vgw_route_propagation, spread, "Gateway.NotAttached"),
        (ec2.detach_vpn_gateway, here, "InvalidVpnGatewayAttachment.NotFound"),
        (ec2.create_vpn_gateway, dict(Type="ipsec.1", AmazonSideAsn=7), "InvalidParameterValue"),
        (ec2.create_customer_gateway, dict(Type="ipsec.1"), "MissingParameter"),
        (ec2.delete_customer_gateway, dict(CustomerGatewayId="cgw-00000000"), "InvalidCustomerGatewayID.NotFound"),
    )
    ec2.attach_vpn_gateway(**here)
    ec2.enable_vgw_route_propagation(**spread)
    shown = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["PropagatingVgws"]
    check("propagating", shown, [{"GatewayId": gateway}])
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="172.20.0.0/16", GatewayId=gateway)
    refused(
        (ec2.delete_vpn_gateway, dict(VpnGatewayId=gateway), "IncorrectState"),
        (ec2.delete_vpc, dict(VpcId=vpc), "DependencyViolation"),
    )
    ec2.detach_vpn_gateway(**here)
    check("a black hole", [r["State"] for r in routes(ec2, table) if r.get("GatewayId") == gateway], ["blackhole"])
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock="172.20.0.0/16")
    ec2.delete_vpn_gateway(VpnGatewayId=gateway)
    ec2.delete_customer_gateway(CustomerGatewayId=customer["CustomerGatewayId"])
    check("gone", code_of(ec2.describe_vpn_gateways, VpnGatewayIds=[gateway]), "InvalidVpnGatewayID.NotFound")


def endpoints(ec2, vpc, subnet, table):
    s3, sts = "com.amazonaws.us-east-1.s3", "com.amazonaws.us-east-1.sts"
    services = ec2.describe_vpc_endpoint_services(ServiceNames=[s3])
    check("services", services["ServiceNames"], [s3])
    kinds = sorted(d["ServiceType"][0]["ServiceType"] for d in services["ServiceDetails"])
    check("kinds", kinds, ["Gateway", "Interface"])
    only = ec2.describe_vpc_endpoint_services(Filters=by("service-type", "Gateway"))["ServiceNames"]
    check("gateways", len(only), 2)
    token, names = None, []
    while True:
        page = ec2.describe_vpc_endpoint_services(MaxResults=7, **({"NextToken": token} if token else {}))
        names += page["ServiceNames"]
        token = page.get("NextToken")
        if not token:
            break
    check("every service by pages", names == sorted(names) and len(names) > 30, True)
    gateway = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=s3, RouteTableIds=[table], ClientToken="one")["VpcEndpoint"]
    again = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=s3, RouteTableIds=[table], ClientToken="one")["VpcEndpoint"]
    check("the same token", again["VpcEndpointId"], gateway["VpcEndpointId"])
    gateway = gateway["VpcEndpointId"]
    state = lambda id: ec2.describe_vpc_endpoints(VpcEndpointIds=[id])["VpcEndpoints"][0]["State"]
    eventually("available", lambda: state(gateway), "available")
    listed = ec2.describe_prefix_lists(Filters=by("prefix-list-name", s3))["PrefixLists"][0]["PrefixListId"]
    ways = [r for r in routes(ec2, table) if r.get("GatewayId") == gateway]
    check("its route", [r["DestinationPrefixListId"] for r in ways], [listed])
    refused(
        (ec2.create_vpc_endpoint, dict(VpcId=vpc, ServiceName=s3, RouteTableIds=[table]), "RouteAlreadyExists"),
        (ec2.create_vpc_endpoint, dict(VpcId=vpc, ServiceName="com.amazonaws.us-east-1.none"), "InvalidServiceName"),
        (ec2.create_vpc_endpoint, dict(VpcId=vpc, ServiceName=s3, PolicyDocument="x"), "InvalidPolicyDocument"),
        (ec2.create_vpc_endpoint, dict(VpcId=vpc, ServiceName=sts, VpcEndpointType="Interface"), "InvalidParameter"),
        (ec2.describe_vpc_endpoints, dict(VpcEndpointIds=["vpce-00000000"]), "InvalidVpcEndpointId.NotFound"),
        (ec2.delete_vpc, dict(VpcId=vpc), "DependencyViolation"),
    )
    ec2.modify_vpc_endpoint(VpcEndpointId=gateway, RemoveRouteTableIds=[table])
    check("no route", [r for r in routes(ec2, table) if r.get("GatewayId") == gateway], [])
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    made = ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=sts, VpcEndpointType="Interface", SubnetIds=[subnet], TagSpecifications=tags("vpc-endpoint", Name="sts"))
    made = made["VpcEndpoint"]
    check("names", "sts.us-east-1.amazonaws.com" in [d["DnsName"] for d in made["DnsEntries"]], True)
    interface = made["VpcEndpointId"]
    eventually("available", lambda: state(interface), "available")
    eni = ec2.describe_network_interfaces(NetworkInterfaceIds=made["NetworkInterfaceIds"])["NetworkInterfaces"][0]
    check("its interface", (eni["InterfaceType"], eni["RequesterManaged"], eni["SubnetId"]), ("vpc_endpoint", True, subnet))
    check("a subnet in use", code_of(ec2.delete_subnet, SubnetId=subnet), "DependencyViolation")
    answer = ec2.delete_vpc_endpoints(VpcEndpointIds=[gateway, interface, "vpce-00000000"])
    check("one unknown", [u["Error"]["Code"] for u in answer["Unsuccessful"]], ["InvalidVpcEndpointId.NotFound"])
    eventually("gone", lambda: ec2.describe_vpc_endpoints(Filters=by("vpc-id", vpc))["VpcEndpoints"], [])
    eventually("its interface gone", lambda: ec2.describe_network_interfaces(Filters=by("subnet-id", subnet))["NetworkInterfaces"], [])


def peering(ec2, stranger, vpc, table, other):
    made = ec2.create_vpc_peering_connection(VpcId=vpc, PeerVpcId=other, TagSpecifications=tags("vpc-peering-connection", Name="p"))
    made = made["VpcPeeringConnection"]
    here = dict(VpcPeeringConnectionId=made["VpcPeeringConnectionId"])
    check("asked for", made["Status"]["Code"], "pending-acceptance")
    state = lambda: ec2.describe_vpc_peering_connections(VpcPeeringConnectionIds=[here["VpcPeeringConnectionId"]])["VpcPeeringConnections"][0]["Status"]["Code"]
    refused(
        (ec2.create_vpc_peering_connection, dict(VpcId=vpc, PeerVpcId=other), "VpcPeeringConnectionAlreadyExists"),
        (ec2.create_vpc_peering_connection, dict(VpcId=vpc, PeerVpcId=vpc), "InvalidParameterValue"),
        (ec2.create_vpc_peering_connection, dict(VpcId=vpc, PeerVpcId="vpc-00000000"), "InvalidVpcID.NotFound"),
        (stranger.accept_vpc_peering_connection, here, "InvalidVpcPeeringConnectionID.NotFound"),
    )
    ec2.accept_vpc_peering_connection(**here)
    eventually("joined", state, "active")
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.9.0.0/16", **here)
    check("its route", [r["State"] for r in routes(ec2, table) if "VpcPeeringConnectionId" in r], ["active"])
    near = ec2.create_security_group(GroupName="near", Description="d", VpcId=vpc)["GroupId"]
    far = ec2.create_security_group(GroupName="far", Description="d", VpcId=other)["GroupId"]
    rule = dict(GroupId=near, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": far}]}])
    made = ec2.authorize_security_group_ingress(**rule)["SecurityGroupRules"][0]
    added = made["ReferencedGroupInfo"]
    check("a group of the peer", (added["VpcId"], added["VpcPeeringConnectionId"]), (other, here["VpcPeeringConnectionId"]))
    seen = ec2.describe_security_group_references(GroupId=[far])["SecurityGroupReferenceSet"]
    check("who names it", [r["ReferencingVpcId"] for r in seen], [vpc])
    options = ec2.modify_vpc_peering_connection_options(**here, RequesterPeeringConnectionOptions={"AllowDnsResolutionFromRemoteVpc": True})
    check("options", options["RequesterPeeringConnectionOptions"]["AllowDnsResolutionFromRemoteVpc"], True)
    check("a peered VPC", code_of(ec2.delete_vpc, VpcId=other), "DependencyViolation")
    ec2.delete_vpc_peering_connection(**here)
    check("deleted", state(), "deleted")
    check("a black hole", [r["State"] for r in routes(ec2, table) if "VpcPeeringConnectionId" in r], ["blackhole"])
    stale = ec2.describe_stale_security_groups(VpcId=vpc)["StaleSecurityGroupSet"]
    check("stale", [g["GroupId"] for g in stale], [near])
    ec2.revoke_security_group_ingress(GroupId=near, SecurityGroupRuleIds=[made["SecurityGroupRuleId"]])
    for group in [near, far]:
        ec2.delete_security_group(GroupId=group)
    check("twice", code_of(ec2.delete_vpc_peering_connection, **here), "InvalidStateTransition")
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock="10.9.0.0/16")


def lists_in_routes(ec2, vpc, table):
    listed = ec2.create_managed_prefix_list(PrefixListName="n", AddressFamily="IPv4", MaxEntries=2, Entries=[{"Cidr": "192.0.2.0/24"}])
    listed = listed["PrefixList"]["PrefixListId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    here = dict(RouteTableId=table, DestinationPrefixListId=listed)
    ec2.create_route(**here, GatewayId=gateway)
    check("kept", [r["State"] for r in routes(ec2, table) if r.get("DestinationPrefixListId") == listed], ["active"])
    users = ec2.get_managed_prefix_list_associations(PrefixListId=listed)["PrefixListAssociations"]
    check("its user", [u["ResourceId"] for u in users], [table])
    refused(
        (ec2.delete_managed_prefix_list, dict(PrefixListId=listed), "DependencyViolation"),
        (ec2.create_route, dict(here, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway), "InvalidParameterCombination"),
    )
    ec2.delete_route(**here)
    ec2.delete_managed_prefix_list(PrefixListId=listed)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)


def flow_logs(ec2, vpc):
    wanted = dict(ResourceIds=[vpc], ResourceType="VPC", TrafficType="ALL", LogGroupName="flows", DeliverLogsPermissionArn="arn:aws:iam::1:role/r")
    made = ec2.create_flow_logs(**wanted)
    ids = made["FlowLogIds"]
    shown = ec2.describe_flow_logs(FlowLogIds=ids)["FlowLogs"][0]
    check("told that nothing is delivered", (shown["FlowLogStatus"], shown["DeliverLogsStatus"]), ("ACTIVE", "FAILED"))
    again = ec2.create_flow_logs(**wanted)["Unsuccessful"]
    check("once more", [u["Error"]["Code"] for u in again], ["FlowLogAlreadyExists"])
    refused(
        (ec2.create_flow_logs, dict(wanted, MaxAggregationInterval=61), "InvalidParameterValue"),
        (ec2.create_flow_logs, dict(wanted, TrafficType="SOME"), "InvalidParameterValue"),
        (ec2.create_flow_logs, dict(ResourceIds=[vpc], ResourceType="VPC", TrafficType="ALL", LogDestinationType="s3", LogDestination="arn:aws:s3:::no-such-bucket-here"), "InvalidParameter"),
    )
    ec2.delete_flow_logs(FlowLogIds=ids)
    check("gone", ec2.describe_flow_logs(FlowLogIds=ids)["FlowLogs"], [])


def volumes(ec2):
    made = ec2.create_volume(AvailabilityZone="us-east-1a", Size=10, VolumeType="gp3", TagSpecifications=tags("volume", Name="data"))
    volume = made["VolumeId"]
    shown = ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]
    check("a gp3 volume", (shown["State"], shown["Iops"], shown["Throughput"]), ("available", 3000, 125))
    here = dict(AvailabilityZone="us-east-1a")
    refused(
        (ec2.create_volume, dict(here, Size=10, VolumeType="gp2", Iops=100), "InvalidParameterCombination"),
        (ec2.create_volume, dict(here, Size=10, VolumeType="io2"), "MissingParameter"),
        (ec2.create_volume, dict(here, Size=1, VolumeType="st1"), "InvalidParameterValue"),
        (ec2.create_volume, here, "MissingParameter"),
        (ec2.attach_volume, dict(VolumeId=volume, InstanceId="i-00000000", Device="/dev/sdf"), "InvalidInstanceID.NotFound"),
        (ec2.detach_volume, dict(VolumeId=volume), "IncorrectState"),
    )
    ec2.enable_ebs_encryption_by_default()
    check("on", ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"], True)
    sealed = ec2.create_volume(**here, Size=1)
    check("encrypted", sealed["Encrypted"], True)
    ec2.disable_ebs_encryption_by_default()
    check("the key", ec2.get_ebs_default_kms_key_id()["KmsKeyId"], "alias/aws/ebs")
    for id in [volume, sealed["VolumeId"]]:
        ec2.delete_volume(VolumeId=id)
    check("gone", code_of(ec2.describe_volumes, VolumeIds=[volume]), "InvalidVolume.NotFound")


def placement(ec2):
    ec2.create_placement_group(GroupName="g", Strategy="partition", PartitionCount=3)
    shown = ec2.describe_placement_groups(GroupNames=["g"])["PlacementGroups"][0]
    check("partitions", (shown["PartitionCount"], shown["State"]), (3, "available"))
    refused(
        (ec2.create_placement_group, dict(GroupName="g", Strategy="spread"), "InvalidPlacementGroup.Duplicate"),
        (ec2.create_placement_group, dict(GroupName="h", Strategy="x"), "InvalidParameterValue"),
        (ec2.delete_placement_group, dict(GroupName="h"), "InvalidPlacementGroup.Unknown"),
    )
    ec2.delete_placement_group(GroupName="g")


def quotas(ec2, endpoint, account):
    quotas = client("service-quotas", endpoint, account)
    listed = quotas.list_service_quotas(ServiceCode="vpc")["Quotas"]
    by_code = {q["QuotaCode"]: q["Value"] for q in listed}
    check("VPCs", by_code["L-F678F1CE"], 5.0)
    check("none such", code_of(quotas.get_service_quota, ServiceCode="vpc", QuotaCode="L-0"), "NoSuchResourceException")
    made = []
    while True:
        code = code_of(lambda **a: made.append(ec2.create_vpc(**a)["Vpc"]["VpcId"]), CidrBlock="10.77.0.0/16")
        if code or len(made) > 10:
            break
    check("no more VPCs", code, "VpcLimitExceeded")
    check("as many as told", len(ec2.describe_vpcs()["Vpcs"]), 5)
    for vpc in made:
        ec2.delete_vpc(VpcId=vpc)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    endpoint = parser.parse_args().endpoint
    account = f"{random.randrange(10**11, 10**12)}"
    began = time.monotonic()
    ec2 = client("ec2", endpoint, account)
    stranger = client("ec2", endpoint, f"{int(account) - 1}")
    checker = Checker(ec2)
    vpc, subnet, table = network(ec2, "10.8.0.0/16")
    other, far_subnet, far_table = network(ec2, "10.9.0.0/16")
    ipv6(ec2, vpc, subnet, table)
    vpn(ec2, vpc, table)
    endpoints(ec2, vpc, subnet, table)
    peering(ec2, stranger, vpc, table, other)
    lists_in_routes(ec2, vpc, table)
    flow_logs(ec2, vpc)
    volumes(ec2)
    placement(ec2)
    quotas(ec2, endpoint, account)
    for vpc, subnet, table in [(vpc, subnet, table), (other, far_subnet, far_table)]:
        ec2.delete_subnet(SubnetId=subnet)
        ec2.delete_route_table(RouteTableId=table)
        ec2.delete_vpc(VpcId=vpc)
    failures.extend(f"not in botocore's model: {u}" for u in sorted(checker.unknown))
    for failure in failures:
        print(failure)
    calls = sum(checker.calls.values())
    seconds = time.monotonic() - began
    print(f"{calls} calls of {len(checker.calls)} actions in {seconds:.1f} s, {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
