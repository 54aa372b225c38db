output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "public_subnet_ids" {
  description = "Ids of the public subnets in the order of the zones, once they reach the internet."
  value       = [for zone in var.zones : aws_subnet.public[zone].id]
  depends_on  = [aws_route.public_internet, aws_route_table_association.public]
}

output "private_subnet_ids" {
  description = "Ids of the private subnets in the order of the zones, once they have egress: user data needs it."
  value       = [for zone in var.zones : aws_subnet.private[zone].id]
  depends_on  = [aws_route.private_nat, aws_route_table_association.private]
}

output "nat_addresses" {
  description = "Public address of each zone's NAT gateway."
  value       = { for zone, address in aws_eip.nat : zone => address.public_ip }
}
