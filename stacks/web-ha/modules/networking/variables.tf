variable "name" {
  description = "Name of the system."
  type        = string
}

variable "vpc_cidr" {
  description = "Address block of the VPC."
  type        = string
}

variable "zones" {
  description = "Availability Zones, one public and one private subnet in each."
  type        = list(string)
}

variable "public_subnet_cidrs" {
  description = "Blocks of the public subnets, in the order of the zones."
  type        = list(string)

  validation {
    condition     = alltrue([for cidr in var.public_subnet_cidrs : can(cidrnetmask(cidr))])
    error_message = "Each must be an IPv4 block."
  }
}

variable "private_subnet_cidrs" {
  description = "Blocks of the private subnets, in the order of the zones."
  type        = list(string)

  validation {
    condition     = alltrue([for cidr in var.private_subnet_cidrs : can(cidrnetmask(cidr))])
    error_message = "Each must be an IPv4 block."
  }
}
