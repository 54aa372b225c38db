variable "name" {
  description = "Name of the system."
  type        = string
}

variable "autoscaling_group_name" {
  description = "The group to scale and watch."
  type        = string
}

variable "alb_arn_suffix" {
  description = "The load balancer as CloudWatch's dimension names it."
  type        = string
}

variable "target_group_arn_suffix" {
  description = "The target group as CloudWatch's dimension names it."
  type        = string
}

variable "target_cpu" {
  description = "Average CPU in per cent that the group is held at."
  type        = number
}

variable "cpu_high_threshold" {
  description = "Average CPU in per cent above which instances are added in steps."
  type        = number
}

variable "cpu_low_threshold" {
  description = "Average CPU in per cent below which an instance is removed."
  type        = number
}

variable "warmup_seconds" {
  description = "Seconds until a new instance's CPU counts."
  type        = number
}

variable "min_size" {
  description = "Healthy instances below which a person should look."
  type        = number
}

variable "alarm_actions" {
  description = "ARNs told about the alarms for people."
  type        = list(string)
}
