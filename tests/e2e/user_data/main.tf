# One instance for each user data beside this file, behind one load balancer that has a path for each.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "online" {
  description = "Launch those that install packages, too."
  type        = bool
  default     = true
}

locals {
  offline = { docker = "docker.sh", swap = "swap.sh", golden = "golden.sh", multipart = "multipart.txt" }
  packages = {
    apache = "apache.sh", nginx = "nginx.yaml", venv = "venv.sh", node = "node.sh",
    metrics = "metrics.py", s3 = "s3.sh", cron = "cron.sh",
  }
  scripts = merge(local.offline, var.online ? local.packages : {})
  # Apache listens where it does by default.
  port = { for name, _ in local.scripts : name => name == "apache" ? 80 : 8080 }
}

data "aws_ami" "docker" {
  owners      = ["000000000000"]
  most_recent = true
  filter {
    name   = "name"
    values = ["nines-debian-12-docker"]
  }
}

data "aws_availability_zones" "all" {}

resource "aws_vpc" "this" {
  cidr_block           = "10.40.0.0/16"
  enable_dns_hostnames = true
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_subnet" "public" {
  count                   = 2
  vpc_id                  = aws_vpc.this.id
  cidr_block              = cidrsubnet(aws_vpc.this.cidr_block, 8, count.index)
  availability_zone       = data.aws_availability_zones.all.names[count.index]
  map_public_ip_on_launch = true
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this.id
  }
}

resource "aws_route_table_association" "public" {
  count          = 2
  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public.id
}

resource "aws_security_group" "this" {
  name   = "user-data"
  vpc_id = aws_vpc.this.id
  ingress {
    from_port   = 0
    to_port     = 65535
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_iam_role" "this" {
  name = "user-data"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
}

resource "aws_iam_instance_profile" "this" {
  name = "user-data"
  role = aws_iam_role.this.name
}

resource "aws_s3_bucket" "this" {
  bucket        = "user-data-artefacts"
  force_destroy = true
}

resource "aws_s3_object" "release" {
  bucket  = aws_s3_bucket.this.id
  key     = "release.html"
  content = "release 7\n"
}

resource "aws_instance" "this" {
  for_each                    = local.scripts
  ami                         = data.aws_ami.docker.id
  instance_type               = "t3.small"
  subnet_id                   = aws_subnet.public[index(keys(local.scripts), each.key) % 2].id
  vpc_security_group_ids      = [aws_security_group.this.id]
  iam_instance_profile        = aws_iam_instance_profile.this.name
  user_data                   = each.key == "s3" ? replace(file("${path.module}/${each.value}"), "$${bucket}", aws_s3_bucket.this.id) : file("${path.module}/${each.value}")
  user_data_replace_on_change = true
  tags                        = { Name = each.key }
  depends_on                  = [aws_route_table_association.public, aws_s3_object.release]
}

resource "aws_lb" "this" {
  name            = "user-data"
  subnets         = aws_subnet.public[*].id
  security_groups = [aws_security_group.this.id]
}

resource "aws_lb_target_group" "this" {
  for_each = local.scripts
  name     = "ud-${each.key}"
  port     = local.port[each.key]
  protocol = "HTTP"
  vpc_id   = aws_vpc.this.id
  health_check {
    path     = "/${each.key}/"
    interval = 10
    matcher  = "200"
  }
}

resource "aws_lb_target_group_attachment" "this" {
  for_each         = local.scripts
  target_group_arn = aws_lb_target_group.this[each.key].arn
  target_id        = aws_instance.this[each.key].id
}

resource "aws_lb_listener" "this" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  default_action {
    type = "fixed-response"
    fixed_response {
      content_type = "text/plain"
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener_rule" "this" {
  for_each     = local.scripts
  listener_arn = aws_lb_listener.this.arn
  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this[each.key].arn
  }
  condition {
    path_pattern {
      values = ["/${each.key}/*"]
    }
  }
}

output "url" {
  value = "http://${aws_lb.this.dns_name}"
}

output "instances" {
  value = { for name, instance in aws_instance.this : name => instance.id }
}
