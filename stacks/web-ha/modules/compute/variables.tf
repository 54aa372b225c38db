variable "name" {
  description = "Name of the system."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the target group."
  type        = string
}

variable "public_subnet_ids" {
  description = "Subnets of the load balancer, in at least two zones."
  type        = list(string)
}

variable "private_subnet_ids" {
  description = "Subnets of the instances, in at least two zones."
  type        = list(string)
}

variable "alb_security_group_id" {
  description = "Security group of the load balancer."
  type        = string
}

variable "app_security_group_id" {
  description = "Security group of the instances."
  type        = string
}

variable "instance_profile_name" {
  description = "Instance profile of the instances, or null."
  type        = string
  default     = null
}

variable "certificate_arn" {
  description = "ACM certificate for HTTPS, or null for HTTP only."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Protect the load balancer from deletion."
  type        = bool
}

variable "container_image" {
  description = "Image of the application."
  type        = string
}

variable "container_port" {
  description = "Port of the application inside its container."
  type        = number
}

variable "insecure_registries" {
  description = "Registries that may be pulled from over plain HTTP."
  type        = list(string)
}

variable "health_check_path" {
  description = "Path of the health checks."
  type        = string
}

variable "ami_id" {
  description = "AMI, or null for the newest Debian 12."
  type        = string
}

variable "instance_type" {
  description = "Instance type."
  type        = string
}

variable "min_size" {
  description = "Fewest instances."
  type        = number

  validation {
    condition     = var.min_size >= 0
    error_message = "Not below 0."
  }
}

variable "desired_capacity" {
  description = "Instances at the start."
  type        = number
}

variable "max_size" {
  description = "Most instances."
  type        = number
}

variable "health_check_grace_period" {
  description = "Seconds after launch in which failed health checks do not count."
  type        = number
}
