# Two Auto Scaling groups, one a colour, behind one listener that shares the requests by weight. A new
# version goes to the colour that has none of them, is tried there, and gets more and more of them.

data "aws_vpc" "default" {
  default = true
}

data "aws_availability_zones" "available" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }

  filter {
    name   = "default-for-az"
    values = ["true"]
  }

  filter {
    name   = "availability-zone"
    values = slice(data.aws_availability_zones.available.names, 0, 2)
  }
}

# Debian's own account publishes the images; they have Python.
data "aws_ami" "debian" {
  most_recent = true
  owners      = ["136693071363"]

  filter {
    name   = "name"
    values = ["debian-12-amd64-*"]
  }

  filter {
    name   = "architecture"
    values = ["x86_64"]
  }
}

locals {
  weights = { blue = 100 - var.green_weight, green = var.green_weight }
}

resource "aws_security_group" "alb" {
  name_prefix = "${var.name}-alb-"
  description = "Load balancer: HTTP from anywhere"
  vpc_id      = data.aws_vpc.default.id

  ingress {
    description = "HTTP"
    from_port   = 80
    to_port     = 80
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }

  egress {
    description = "To the application"
    from_port   = 80
    to_port     = 80
    protocol    = "tcp"
    cidr_blocks = [data.aws_vpc.default.cidr_block]
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "app" {
  name_prefix = "${var.name}-app-"
  description = "Instances: HTTP from the load balancer"
  vpc_id      = data.aws_vpc.default.id

  ingress {
    description     = "HTTP from the load balancer"
    from_port       = 80
    to_port         = 80
    protocol        = "tcp"
    security_groups = [aws_security_group.alb.id]
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lb" "this" {
  name               = var.name
  load_balancer_type = "application"
  subnets            = data.aws_subnets.default.ids
  security_groups    = [aws_security_group.alb.id]
}

resource "aws_lb_target_group" "colour" {
  for_each = local.weights

  name                 = "${var.name}-${each.key}"
  vpc_id               = data.aws_vpc.default.id
  protocol             = "HTTP"
  port                 = 80
  deregistration_delay = 30

  health_check {
    path                = "/health"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "forward"

    forward {
      dynamic "target_group" {
        for_each = local.weights

        content {
          arn    = aws_lb_target_group.colour[target_group.key].arn
          weight = target_group.value
        }
      }
    }
  }
}

# Who says so gets a certain colour: the new version is tried before anybody else sees it.
resource "aws_lb_listener_rule" "preview" {
  for_each = local.weights

  listener_arn = aws_lb_listener.http.arn
  priority     = each.key == "blue" ? 10 : 20

  condition {
    http_header {
      http_header_name = "X-Colour"
      values           = [each.key]
    }
  }

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.colour[each.key].arn
  }
}

resource "aws_launch_template" "colour" {
  for_each = var.versions

  name_prefix            = "${var.name}-${each.key}-"
  image_id               = data.aws_ami.debian.id
  instance_type          = var.instance_type
  vpc_security_group_ids = [aws_security_group.app.id]
  update_default_version = true

  user_data = base64encode(templatefile("${path.module}/templates/user-data.sh.tftpl", {
    version = each.value
    colour  = each.key
  }))

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "${var.name}-${each.key}" }
  }
}

resource "aws_autoscaling_group" "colour" {
  for_each = var.capacity

  name                = "${var.name}-${each.key}"
  vpc_zone_identifier = data.aws_subnets.default.ids
  target_group_arns   = [aws_lb_target_group.colour[each.key].arn]

  min_size         = each.value
  max_size         = max(each.value, 1) * 2
  desired_capacity = each.value

  health_check_type         = "ELB"
  health_check_grace_period = 120

  # The apply ends when the load balancer sees them healthy: requests may then be sent there.
  wait_for_elb_capacity     = each.value
  wait_for_capacity_timeout = "10m"

  launch_template {
    id      = aws_launch_template.colour[each.key].id
    version = aws_launch_template.colour[each.key].latest_version
  }

  # A colour whose version changes while it has instances rolls them one by one.
  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 150
    }
  }

  tag {
    key                 = "Colour"
    value               = each.key
    propagate_at_launch = true
  }

  # A target group that no listener uses checks no health.
  depends_on = [aws_lb_listener.http]
}
