output "url" {
  description = "Where the web tier answers."
  value       = "${var.certificate_arn == null ? "http" : "https"}://${module.compute.alb_dns_name}"
}

output "alb_dns_name" {
  description = "Name of the load balancer, for an alias or CNAME record."
  value       = module.compute.alb_dns_name
}

output "alb_zone_id" {
  description = "Hosted zone of the load balancer, for an alias record."
  value       = module.compute.alb_zone_id
}

output "nat_addresses" {
  description = "Public address from which each zone's instances reach the internet, for others' allow lists."
  value       = module.networking.nat_addresses
}

output "autoscaling_group_name" {
  description = "Name of the Auto Scaling group."
  value       = module.compute.autoscaling_group_name
}

output "target_group_arn" {
  description = "ARN of the target group."
  value       = module.compute.target_group_arn
}

output "vpc_id" {
  description = "Id of the VPC."
  value       = module.networking.vpc_id
}

output "public_subnet_ids" {
  description = "Public subnet per zone."
  value       = zipmap(local.zones, module.networking.public_subnet_ids)
}

output "private_subnet_ids" {
  description = "Private subnet per zone."
  value       = zipmap(local.zones, module.networking.private_subnet_ids)
}

output "artifacts_bucket" {
  description = "Name of the artifacts bucket, if there is one."
  value       = one(aws_s3_bucket.artifacts[*].id)
}
