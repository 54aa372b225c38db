output "policy_arns" {
  description = "ARNs of the scaling policies by purpose."
  value = {
    target    = aws_autoscaling_policy.cpu_target.arn
    scale_out = aws_autoscaling_policy.scale_out.arn
    scale_in  = aws_autoscaling_policy.scale_in.arn
  }
}

output "alarm_names" {
  description = "Names of the alarms for people."
  value = concat(
    [aws_cloudwatch_metric_alarm.healthy_hosts.alarm_name],
    values(aws_cloudwatch_metric_alarm.server_errors)[*].alarm_name,
  )
}
