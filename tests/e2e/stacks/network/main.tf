# A network as community modules build them: three tiers in two zones, IPv6 beside IPv4, a
# second block, gateways of every kind, endpoints, flow logs, and subnet groups for what
# would stand in the database tier.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  region = "eu-west-1"
  default_tags {
    tags = { Stack = "network" }
  }
}

data "aws_availability_zones" "here" {
  state = "available"
}

data "aws_region" "here" {}

locals {
  zones = slice(data.aws_availability_zones.here.names, 0, 2)
  tiers = { public = 0, private = 10, database = 20 }
  subnets = merge([
    for tier, offset in local.tiers : {
      for n, zone in local.zones : "${tier}-${n}" => { tier = tier, zone = zone, n = offset + n }
    }
  ]...)
}

resource "aws_vpc" "this" {
  cidr_block                       = "10.40.0.0/16"
  assign_generated_ipv6_cidr_block = true
  enable_dns_hostnames             = true
  tags                             = { Name = "network" }
}

resource "aws_vpc_ipv4_cidr_block_association" "more" {
  vpc_id     = aws_vpc.this.id
  cidr_block = "10.41.0.0/16"
}

resource "aws_vpc_dhcp_options" "this" {
  domain_name         = "network.internal"
  domain_name_servers = ["AmazonProvidedDNS"]
  ntp_servers         = ["169.254.169.123"]
}

resource "aws_vpc_dhcp_options_association" "this" {
  vpc_id          = aws_vpc.this.id
  dhcp_options_id = aws_vpc_dhcp_options.this.id
}

resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_default_route_table" "this" {
  default_route_table_id = aws_vpc.this.default_route_table_id
}

resource "aws_default_network_acl" "this" {
  default_network_acl_id = aws_vpc.this.default_network_acl_id
  ingress {
    protocol   = "-1"
    rule_no    = 100
    action     = "allow"
    cidr_block = "0.0.0.0/0"
    from_port  = 0
    to_port    = 0
  }
  ingress {
    protocol        = "-1"
    rule_no         = 101
    action          = "allow"
    ipv6_cidr_block = "::/0"
    from_port       = 0
    to_port         = 0
  }
  egress {
    protocol   = "-1"
    rule_no    = 100
    action     = "allow"
    cidr_block = "0.0.0.0/0"
    from_port  = 0
    to_port    = 0
  }
  lifecycle {
    ignore_changes = [subnet_ids]
  }
}

resource "aws_subnet" "this" {
  for_each                                       = local.subnets
  vpc_id                                         = aws_vpc.this.id
  availability_zone                              = each.value.zone
  cidr_block                                     = cidrsubnet(aws_vpc.this.cidr_block, 8, each.value.n)
  ipv6_cidr_block                                = cidrsubnet(aws_vpc.this.ipv6_cidr_block, 8, each.value.n)
  assign_ipv6_address_on_creation                = each.value.tier == "public"
  map_public_ip_on_launch                        = each.value.tier == "public"
  enable_dns64                                   = each.value.tier == "private"
  enable_resource_name_dns_aaaa_record_on_launch = true
  tags                                           = { Name = each.key }
}

resource "aws_subnet" "secondary" {
  vpc_id            = aws_vpc.this.id
  availability_zone = local.zones[0]
  cidr_block        = "10.41.1.0/24"
  depends_on        = [aws_vpc_ipv4_cidr_block_association.more]
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_egress_only_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_customer_gateway" "office" {
  bgp_asn    = 65112
  ip_address = "192.0.2.12"
  type       = "ipsec.1"
}

resource "aws_vpn_gateway" "this" {
  vpc_id          = aws_vpc.this.id
  amazon_side_asn = 64620
}

resource "aws_eip" "nat" {
  domain     = "vpc"
  depends_on = [aws_internet_gateway.this]
}

resource "aws_nat_gateway" "this" {
  allocation_id = aws_eip.nat.id
  subnet_id     = aws_subnet.this["public-0"].id
}

resource "aws_ec2_managed_prefix_list" "offices" {
  name           = "offices"
  address_family = "IPv4"
  max_entries    = 3
  entry {
    cidr        = "192.0.2.0/24"
    description = "first"
  }
  entry {
    cidr        = "198.51.100.0/24"
    description = "second"
  }
}

resource "aws_route_table" "this" {
  for_each = local.tiers
  vpc_id   = aws_vpc.this.id
  tags     = { Name = each.key }
}

resource "aws_route_table_association" "this" {
  for_each       = local.subnets
  subnet_id      = aws_subnet.this[each.key].id
  route_table_id = aws_route_table.this[each.value.tier].id
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.this["public"].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route" "internet_ipv6" {
  route_table_id              = aws_route_table.this["public"].id
  destination_ipv6_cidr_block = "::/0"
  gateway_id                  = aws_internet_gateway.this.id
}

resource "aws_route" "nat" {
  route_table_id         = aws_route_table.this["private"].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this.id
}

resource "aws_route" "egress_only" {
  route_table_id              = aws_route_table.this["private"].id
  destination_ipv6_cidr_block = "::/0"
  egress_only_gateway_id      = aws_egress_only_internet_gateway.this.id
}

resource "aws_route" "offices" {
  route_table_id             = aws_route_table.this["database"].id
  destination_prefix_list_id = aws_ec2_managed_prefix_list.offices.id
  gateway_id                 = aws_vpn_gateway.this.id
}

resource "aws_vpn_gateway_route_propagation" "private" {
  vpn_gateway_id = aws_vpn_gateway.this.id
  route_table_id = aws_route_table.this["private"].id
}

resource "aws_network_acl" "database" {
  vpc_id     = aws_vpc.this.id
  subnet_ids = [for key, subnet in aws_subnet.this : subnet.id if local.subnets[key].tier == "database"]
}

resource "aws_network_acl_rule" "database" {
  for_each       = { in = false, out = true }
  network_acl_id = aws_network_acl.database.id
  rule_number    = 900
  egress         = each.value
  protocol       = "tcp"
  rule_action    = "allow"
  cidr_block     = aws_vpc.this.cidr_block
  from_port      = 1024
  to_port        = 65535
}

resource "aws_security_group" "endpoints" {
  name_prefix = "endpoints-"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  security_group_id = aws_security_group.endpoints.id
  cidr_ipv4         = aws_vpc.this.cidr_block
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "offices" {
  security_group_id = aws_security_group.endpoints.id
  prefix_list_id    = aws_ec2_managed_prefix_list.offices.id
  ip_protocol       = "-1"
}

resource "aws_ec2_instance_connect_endpoint" "this" {
  subnet_id          = aws_subnet.this["private-0"].id
  security_group_ids = [aws_security_group.endpoints.id]
  tags               = { Name = "network" }
}

data "aws_vpc_endpoint_service" "s3" {
  service      = "s3"
  service_type = "Gateway"
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id          = aws_vpc.this.id
  service_name    = data.aws_vpc_endpoint_service.s3.service_name
  route_table_ids = [for table in aws_route_table.this : table.id]
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = "*", Action = "s3:GetObject", Resource = "*" }]
  })
}

resource "aws_vpc_endpoint" "interface" {
  for_each            = toset(["ssm", "logs"])
  vpc_id              = aws_vpc.this.id
  vpc_endpoint_type   = "Interface"
  service_name        = "com.amazonaws.${data.aws_region.here.name}.${each.key}"
  subnet_ids          = [aws_subnet.this["private-0"].id, aws_subnet.this["private-1"].id]
  security_group_ids  = [aws_security_group.endpoints.id]
  private_dns_enabled = true
}

resource "aws_cloudwatch_log_group" "flow" {
  name              = "/network/flow"
  retention_in_days = 14
}

resource "aws_iam_role" "flow" {
  name_prefix = "flow-"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "vpc-flow-logs.amazonaws.com" } }]
  })
}

resource "aws_iam_role_policy" "flow" {
  role = aws_iam_role.flow.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["logs:PutLogEvents", "logs:CreateLogStream"], Resource = "*" }]
  })
}

resource "aws_flow_log" "this" {
  vpc_id                   = aws_vpc.this.id
  traffic_type             = "ALL"
  log_destination          = aws_cloudwatch_log_group.flow.arn
  iam_role_arn             = aws_iam_role.flow.arn
  max_aggregation_interval = 60
}

resource "aws_db_subnet_group" "this" {
  name       = "network"
  subnet_ids = [aws_subnet.this["database-0"].id, aws_subnet.this["database-1"].id]
}

resource "aws_elasticache_subnet_group" "this" {
  name       = "network"
  subnet_ids = [aws_subnet.this["database-0"].id]
}

resource "aws_redshift_subnet_group" "this" {
  name       = "network"
  subnet_ids = [aws_subnet.this["database-1"].id]
}
