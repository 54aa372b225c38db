# A highly available web tier: a load balancer in public subnets, instances in private ones that run
# the application as a container, a NAT gateway per zone, and a group that heals and scales.

data "aws_availability_zones" "available" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  zones = slice(data.aws_availability_zones.available.names, 0, var.az_count)

  public_subnet_cidrs  = coalesce(var.public_subnet_cidrs, [for index in range(var.az_count) : cidrsubnet(var.vpc_cidr, 4, index)])
  private_subnet_cidrs = coalesce(var.private_subnet_cidrs, [for index in range(var.az_count) : cidrsubnet(var.vpc_cidr, 4, index + 8)])
}

module "networking" {
  source = "./modules/networking"

  name                 = var.name
  vpc_cidr             = var.vpc_cidr
  zones                = local.zones
  public_subnet_cidrs  = local.public_subnet_cidrs
  private_subnet_cidrs = local.private_subnet_cidrs
}

module "security" {
  source = "./modules/security"

  name            = var.name
  vpc_id          = module.networking.vpc_id
  ingress_cidrs   = var.ingress_cidrs
  https           = var.certificate_arn != null
  session_manager = var.session_manager
}

module "compute" {
  source = "./modules/compute"

  name               = var.name
  vpc_id             = module.networking.vpc_id
  public_subnet_ids  = module.networking.public_subnet_ids
  private_subnet_ids = module.networking.private_subnet_ids

  alb_security_group_id = module.security.alb_security_group_id
  app_security_group_id = module.security.app_security_group_id
  instance_profile_name = module.security.instance_profile_name
  certificate_arn       = var.certificate_arn
  deletion_protection   = var.deletion_protection

  container_image     = var.container_image
  container_port      = var.container_port
  insecure_registries = var.insecure_registries
  health_check_path   = var.health_check_path
  ami_id              = var.ami_id
  instance_type       = var.instance_type

  min_size                  = var.min_size
  desired_capacity          = var.desired_capacity
  max_size                  = var.max_size
  health_check_grace_period = var.health_check_grace_period
}

module "observability" {
  source = "./modules/observability"

  name                    = var.name
  autoscaling_group_name  = module.compute.autoscaling_group_name
  alb_arn_suffix          = module.compute.alb_arn_suffix
  target_group_arn_suffix = module.compute.target_group_arn_suffix

  target_cpu         = var.target_cpu
  cpu_high_threshold = var.cpu_high_threshold
  cpu_low_threshold  = var.cpu_low_threshold
  warmup_seconds     = var.health_check_grace_period
  min_size           = var.min_size
  alarm_actions      = var.alarm_actions
}
