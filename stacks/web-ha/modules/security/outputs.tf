output "alb_security_group_id" {
  description = "Group of the load balancer, once its rules are in place."
  value       = aws_security_group.alb.id
  depends_on = [
    aws_vpc_security_group_ingress_rule.alb_http,
    aws_vpc_security_group_ingress_rule.alb_https,
    aws_vpc_security_group_egress_rule.alb_app,
  ]
}

output "app_security_group_id" {
  description = "Group of the instances, once its rules are in place: user data needs the egress."
  value       = aws_security_group.app.id
  depends_on = [
    aws_vpc_security_group_ingress_rule.app_alb,
    aws_vpc_security_group_egress_rule.app_anywhere,
  ]
}

output "instance_profile_name" {
  description = "Instance profile for Session Manager, or null."
  value       = one(aws_iam_instance_profile.app[*].name)
}
