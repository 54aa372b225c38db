# Three ways to scale that do not fight: target tracking holds the average where it should be and is
# slow on purpose; the steps catch a sudden load; the low alarm gives back what a quiet night leaves.
# When several policies speak at once, Auto Scaling takes the one that gives the largest capacity.

resource "aws_autoscaling_policy" "cpu_target" {
  name                      = "${var.name}-cpu-target"
  autoscaling_group_name    = var.autoscaling_group_name
  policy_type               = "TargetTrackingScaling"
  estimated_instance_warmup = var.warmup_seconds

  target_tracking_configuration {
    target_value = var.target_cpu

    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}

resource "aws_autoscaling_policy" "scale_out" {
  name                      = "${var.name}-scale-out"
  autoscaling_group_name    = var.autoscaling_group_name
  policy_type               = "StepScaling"
  adjustment_type           = "ChangeInCapacity"
  metric_aggregation_type   = "Average"
  estimated_instance_warmup = var.warmup_seconds

  # Bounds are distances from the alarm's threshold.
  step_adjustment {
    metric_interval_lower_bound = 0
    metric_interval_upper_bound = 15
    scaling_adjustment          = 1
  }

  step_adjustment {
    metric_interval_lower_bound = 15
    scaling_adjustment          = 2
  }
}

resource "aws_autoscaling_policy" "scale_in" {
  name                   = "${var.name}-scale-in"
  autoscaling_group_name = var.autoscaling_group_name
  policy_type            = "SimpleScaling"
  adjustment_type        = "ChangeInCapacity"
  scaling_adjustment     = -1
  cooldown               = 300
}

resource "aws_cloudwatch_metric_alarm" "cpu_high" {
  alarm_name          = "${var.name}-cpu-high"
  alarm_description   = "Average CPU of the group above ${var.cpu_high_threshold} % for two minutes: add instances"
  namespace           = "AWS/EC2"
  metric_name         = "CPUUtilization"
  statistic           = "Average"
  period              = 60
  evaluation_periods  = 2
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.cpu_high_threshold
  alarm_actions       = [aws_autoscaling_policy.scale_out.arn]

  dimensions = {
    AutoScalingGroupName = var.autoscaling_group_name
  }
}

resource "aws_cloudwatch_metric_alarm" "cpu_low" {
  alarm_name          = "${var.name}-cpu-low"
  alarm_description   = "Average CPU of the group below ${var.cpu_low_threshold} % for ten minutes: remove an instance"
  namespace           = "AWS/EC2"
  metric_name         = "CPUUtilization"
  statistic           = "Average"
  period              = 60
  evaluation_periods  = 10
  comparison_operator = "LessThanOrEqualToThreshold"
  threshold           = var.cpu_low_threshold
  alarm_actions       = [aws_autoscaling_policy.scale_in.arn]

  dimensions = {
    AutoScalingGroupName = var.autoscaling_group_name
  }
}

# For people: what users feel, not what machines do

resource "aws_cloudwatch_metric_alarm" "healthy_hosts" {
  alarm_name          = "${var.name}-healthy-hosts"
  alarm_description   = "Fewer healthy instances than the group's minimum of ${var.min_size}"
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HealthyHostCount"
  statistic           = "Minimum"
  period              = 60
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  comparison_operator = "LessThanThreshold"
  threshold           = var.min_size
  # No healthy host at all may also mean no data.
  treat_missing_data = "breaching"
  alarm_actions      = var.alarm_actions
  ok_actions         = var.alarm_actions

  dimensions = {
    LoadBalancer = var.alb_arn_suffix
    TargetGroup  = var.target_group_arn_suffix
  }
}

resource "aws_cloudwatch_metric_alarm" "server_errors" {
  for_each = {
    app = { metric = "HTTPCode_Target_5XX_Count", from = "the application" }
    alb = { metric = "HTTPCode_ELB_5XX_Count", from = "the load balancer" }
  }

  alarm_name          = "${var.name}-5xx-${each.key}"
  alarm_description   = "Server errors from ${each.value.from}"
  namespace           = "AWS/ApplicationELB"
  metric_name         = each.value.metric
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  comparison_operator = "GreaterThanThreshold"
  threshold           = 5
  # The counters are only sent when they are not zero.
  treat_missing_data = "notBreaching"
  alarm_actions      = var.alarm_actions
  ok_actions         = var.alarm_actions

  dimensions = {
    LoadBalancer = var.alb_arn_suffix
  }
}
