data "aws_default_tags" "current" {}

# Debian's own account publishes the images: https://wiki.debian.org/Cloud/AmazonEC2Image/Bookworm
data "aws_ami" "this" {
  most_recent = true
  owners      = var.ami_id == null ? ["136693071363"] : null

  dynamic "filter" {
    for_each = var.ami_id == null ? { name = "debian-12-amd64-*", architecture = "x86_64", virtualization-type = "hvm" } : { image-id = var.ami_id }

    content {
      name   = filter.key
      values = [filter.value]
    }
  }
}

locals {
  user_data = templatefile("${path.module}/templates/user-data.sh.tftpl", {
    container_image   = var.container_image
    container_port    = var.container_port
    health_check_path = var.health_check_path
    docker_daemon = jsonencode(merge(
      {
        log-driver   = "json-file"
        log-opts     = { max-size = "10m", max-file = "3" }
        live-restore = true
      },
      length(var.insecure_registries) > 0 ? { insecure-registries = var.insecure_registries } : {},
    ))
  })

  # Provider-wide tags stop at the resources Terraform makes; what the group launches gets them here.
  launched_tags = merge(data.aws_default_tags.current.tags, { Name = "${var.name}-app" })
}

resource "aws_launch_template" "app" {
  name_prefix            = "${var.name}-"
  description            = "Runs ${var.name} as a container"
  image_id               = data.aws_ami.this.id
  instance_type          = var.instance_type
  user_data              = base64encode(local.user_data)
  vpc_security_group_ids = [var.app_security_group_id]
  update_default_version = true

  # Version 2 only. A container is one hop further away than its host.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }

  # Points every minute; the basic one in five minutes makes scaling slow.
  monitoring {
    enabled = true
  }

  block_device_mappings {
    device_name = data.aws_ami.this.root_device_name

    ebs {
      volume_type           = "gp3"
      volume_size           = 10
      encrypted             = true
      delete_on_termination = true
    }
  }

  dynamic "iam_instance_profile" {
    for_each = var.instance_profile_name == null ? [] : [var.instance_profile_name]

    content {
      name = iam_instance_profile.value
    }
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume", "network-interface"])

    content {
      resource_type = tag_specifications.value
      tags          = local.launched_tags
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_autoscaling_group" "app" {
  name                = var.name
  vpc_zone_identifier = var.private_subnet_ids
  target_group_arns   = [aws_lb_target_group.app.arn]

  min_size         = var.min_size
  max_size         = var.max_size
  desired_capacity = var.desired_capacity

  # An instance whose application is dead is as good as dead, whatever EC2 thinks of it.
  health_check_type         = "ELB"
  health_check_grace_period = var.health_check_grace_period
  default_instance_warmup   = var.health_check_grace_period

  # The apply ends when the load balancer sees as many healthy instances, not when they were asked for.
  wait_for_elb_capacity     = var.desired_capacity
  wait_for_capacity_timeout = "15m"

  launch_template {
    id = aws_launch_template.app.id
    # A number, not $Latest: a changed template then shows in the plan and starts the refresh below.
    version = aws_launch_template.app.latest_version
  }

  # A new version replaces instances a few at a time and goes back by itself if the new ones fail.
  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 200
      auto_rollback          = true
    }
  }

  dynamic "tag" {
    for_each = local.launched_tags

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  lifecycle {
    # The scaling policies own it after the start; an apply must not undo what they did.
    ignore_changes = [desired_capacity]

    precondition {
      condition     = var.min_size <= var.desired_capacity && var.desired_capacity <= var.max_size
      error_message = "min_size <= desired_capacity <= max_size must hold."
    }
  }

  # A healthy target needs a target group that a listener uses.
  depends_on = [aws_lb_listener.http, aws_lb_listener.https]
}
