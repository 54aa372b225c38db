variable "name" {
  description = "Name of the system."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the groups."
  type        = string
}

variable "ingress_cidrs" {
  description = "Who may reach the load balancer."
  type        = list(string)
}

variable "https" {
  description = "Whether the load balancer serves HTTPS too."
  type        = bool
}

variable "session_manager" {
  description = "Create the role for Session Manager."
  type        = bool
}
