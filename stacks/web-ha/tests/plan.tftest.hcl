# terraform test: the plan's shape and the variables' limits, without an account (Terraform 1.7 or later).

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = {
      names = ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d"]
    }
  }

  mock_data "aws_ami" {
    defaults = {
      id               = "ami-0123456789abcdef0"
      root_device_name = "/dev/xvda"
    }
  }
}

variables {
  container_image = "registry.example.com/web-ha:1.0.0"
}

run "two_zones" {
  command = plan

  assert {
    condition     = length(module.networking.nat_addresses) == 2
    error_message = "a NAT gateway per zone"
  }

  assert {
    condition     = join(" ", concat(local.public_subnet_cidrs, local.private_subnet_cidrs)) == "10.0.0.0/20 10.0.16.0/20 10.0.128.0/20 10.0.144.0/20"
    error_message = "subnets are cut from the VPC's block"
  }
}

run "four_zones_in_a_small_block" {
  command = plan

  variables {
    az_count = 4
    vpc_cidr = "192.168.0.0/23"
  }

  assert {
    condition     = local.private_subnet_cidrs[3] == "192.168.1.96/27"
    error_message = "subnets as large as a load balancer needs"
  }
}

run "one_zone_is_refused" {
  command = plan

  variables {
    az_count = 1
  }

  expect_failures = [var.az_count]
}

run "shell_in_the_image_name_is_refused" {
  command = plan

  variables {
    container_image = "web'; reboot; '"
  }

  expect_failures = [var.container_image]
}
