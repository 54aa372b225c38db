variable "name" {
  description = "Name of the deployment and prefix of what belongs to it."
  type        = string
  default     = "blue-green"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,21}$", var.name))
    error_message = "Lower-case letters, digits and hyphens, 2 to 22 of them: target groups add a colour and have 32."
  }
}

variable "region" {
  description = "Where to deploy. The region's default VPC is used."
  type        = string
  default     = "us-east-1"
}

variable "versions" {
  description = "Version of the application that each colour runs."
  type        = object({ blue = string, green = string })
  default     = { blue = "1", green = "1" }
}

variable "capacity" {
  description = "Instances of each colour. The colour without requests may have none."
  type        = object({ blue = number, green = number })
  default     = { blue = 2, green = 0 }
}

variable "green_weight" {
  description = "Percent of the requests that green gets; blue gets the rest. A few are a canary, 0 and 100 are one colour."
  type        = number
  default     = 0

  validation {
    condition     = 0 <= var.green_weight && var.green_weight <= 100
    error_message = "0 to 100."
  }
}

variable "instance_type" {
  description = "Type of the instances."
  type        = string
  default     = "t3.micro"
}
