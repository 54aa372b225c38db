# What stands around machines: parameters, roles, keys, a template, volumes, a placement
# group, addresses, logs.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  region = "us-west-2"
}

data "aws_vpc" "default" {
  default = true
}

data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
  filter {
    name   = "availability-zone"
    values = ["us-west-2a"]
  }
}

data "aws_ami" "image" {
  most_recent = true
  owners      = ["136693071363"]
  filter {
    name   = "name"
    values = ["debian-12-amd64-*"]
  }
}

data "aws_iam_policy" "ssm" {
  name = "AmazonSSMManagedInstanceCore"
}

data "aws_servicequotas_service_quota" "vpcs" {
  service_code = "vpc"
  quota_code   = "L-F678F1CE"
}

resource "aws_ssm_parameter" "name" {
  name        = "/machines/name"
  type        = "String"
  value       = "first"
  description = "what it is called"
}

resource "aws_ssm_parameter" "secret" {
  name  = "/machines/secret"
  type  = "SecureString"
  value = "hidden"
  tags  = { Kind = "secret" }
}

resource "aws_ssm_parameter" "zones" {
  name  = "/machines/zones"
  type  = "StringList"
  value = "a,b"
}

resource "aws_cloudwatch_log_group" "this" {
  name = "/machines"
  tags = { Stack = "machines" }
}

resource "aws_cloudwatch_log_stream" "this" {
  name           = "boot"
  log_group_name = aws_cloudwatch_log_group.this.name
}

resource "aws_iam_role" "this" {
  name = "machines"
  path = "/stacks/"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
}

resource "aws_iam_role_policy_attachment" "ssm" {
  role       = aws_iam_role.this.name
  policy_arn = data.aws_iam_policy.ssm.arn
}

resource "aws_iam_role_policy" "logs" {
  name = "logs"
  role = aws_iam_role.this.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "logs:*", Resource = "${aws_cloudwatch_log_group.this.arn}:*" }]
  })
}

resource "aws_iam_instance_profile" "this" {
  name = "machines"
  role = aws_iam_role.this.name
}

resource "aws_ebs_encryption_by_default" "this" {
  enabled = true
}

resource "aws_placement_group" "this" {
  name     = "machines"
  strategy = "spread"
}

resource "aws_security_group" "this" {
  name   = "machines"
  vpc_id = data.aws_vpc.default.id
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_network_interface" "this" {
  subnet_id       = data.aws_subnets.default.ids[0]
  security_groups = [aws_security_group.this.id]
}

resource "aws_launch_template" "this" {
  name                   = "machines"
  image_id               = data.aws_ami.image.id
  instance_type          = "t3.micro"
  update_default_version = true
  placement {
    group_name = aws_placement_group.this.name
  }
  iam_instance_profile {
    name = aws_iam_instance_profile.this.name
  }
  network_interfaces {
    device_index         = 0
    network_interface_id = aws_network_interface.this.id
  }
}

resource "aws_instance" "this" {
  launch_template {
    id = aws_launch_template.this.id
  }
  tags       = { Name = aws_ssm_parameter.name.value }
  depends_on = [aws_ebs_encryption_by_default.this]
}

resource "aws_ebs_volume" "data" {
  availability_zone = aws_instance.this.availability_zone
  size              = 8
  type              = "gp3"
  iops              = 4000
}

resource "aws_volume_attachment" "data" {
  device_name = "/dev/sdh"
  volume_id   = aws_ebs_volume.data.id
  instance_id = aws_instance.this.id
}

resource "aws_eip" "this" {
  domain            = "vpc"
  network_interface = aws_network_interface.this.id
}

output "quota" {
  value = data.aws_servicequotas_service_quota.vpcs.value
}
