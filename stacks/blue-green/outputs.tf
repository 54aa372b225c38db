output "url" {
  description = "Where the application answers."
  value       = "http://${aws_lb.this.dns_name}/"
}

output "alb_dns_name" {
  description = "Name of the load balancer."
  value       = aws_lb.this.dns_name
}

output "target_group_arns" {
  description = "ARN of each colour's target group."
  value       = { for colour, group in aws_lb_target_group.colour : colour => group.arn }
}
