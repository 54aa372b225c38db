# Two VPCs that are peered, a server in one and its client in the other.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  region = "us-east-1"
}

data "aws_ssm_parameter" "image" {
  name = "/aws/service/debian/release/12/latest/amd64"
}

locals {
  sides = { client = "10.50.0.0/16", server = "10.51.0.0/16" }
  far   = { client = "server", server = "client" }
}

resource "aws_vpc" "side" {
  for_each   = local.sides
  cidr_block = each.value
  tags       = { Name = each.key }
}

resource "aws_subnet" "side" {
  for_each          = local.sides
  vpc_id            = aws_vpc.side[each.key].id
  cidr_block        = cidrsubnet(each.value, 8, 1)
  availability_zone = "us-east-1a"
}

resource "aws_vpc_peering_connection" "this" {
  vpc_id      = aws_vpc.side["client"].id
  peer_vpc_id = aws_vpc.side["server"].id
  auto_accept = true
}

resource "aws_route_table" "side" {
  for_each = local.sides
  vpc_id   = aws_vpc.side[each.key].id
  route {
    cidr_block                = local.sides[local.far[each.key]]
    vpc_peering_connection_id = aws_vpc_peering_connection.this.id
  }
}

resource "aws_route_table_association" "side" {
  for_each       = local.sides
  subnet_id      = aws_subnet.side[each.key].id
  route_table_id = aws_route_table.side[each.key].id
}

resource "aws_security_group" "side" {
  for_each = local.sides
  name     = each.key
  vpc_id   = aws_vpc.side[each.key].id
}

resource "aws_vpc_security_group_egress_rule" "all" {
  for_each          = local.sides
  security_group_id = aws_security_group.side[each.key].id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_vpc_security_group_ingress_rule" "web" {
  security_group_id = aws_security_group.side["server"].id
  cidr_ipv4         = local.sides["client"]
  ip_protocol       = "tcp"
  from_port         = 8080
  to_port           = 8080
}

resource "aws_instance" "side" {
  for_each               = local.sides
  ami                    = data.aws_ssm_parameter.image.value
  instance_type          = "t3.micro"
  subnet_id              = aws_subnet.side[each.key].id
  vpc_security_group_ids = [aws_security_group.side[each.key].id]
  tags                   = { Name = each.key }
}

output "addresses" {
  value = { for key, instance in aws_instance.side : key => instance.private_ip }
}

output "instances" {
  value = { for key, instance in aws_instance.side : key => instance.id }
}
