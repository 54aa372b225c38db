variable "name" {
  description = "Name of the system; prefix or name of everything in it."
  type        = string
  default     = "web-ha"

  validation {
    # A load balancer's name: at most 32 characters, no hyphen at the ends, not beginning with internal-.
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name)) && !startswith(var.name, "internal-")
    error_message = "The name must be 2 to 24 lower-case letters, digits or hyphens, begin with a letter, end with a letter or digit, and not begin with internal-."
  }
}

variable "environment" {
  description = "Environment, for the tags."
  type        = string
  default     = "demo"
}

variable "tags" {
  description = "Further tags for every resource."
  type        = map(string)
  default     = {}
}

# Where

variable "region" {
  description = "AWS region."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "The region must look like us-east-1."
  }
}

variable "az_count" {
  description = "How many Availability Zones to spread over. Each has its own NAT gateway."
  type        = number
  default     = 2

  validation {
    condition     = var.az_count >= 2 && var.az_count <= 4 && floor(var.az_count) == var.az_count
    error_message = "Between 2 and 4 zones: an Application Load Balancer needs two."
  }
}

variable "vpc_cidr" {
  description = "Address block of the VPC, cut into 16 parts: the first for public, the ninth and following for private subnets."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 23, false)
    error_message = "The block must be IPv4 between /16 and /23; the load balancer needs subnets of /27 or larger."
  }
}

variable "public_subnet_cidrs" {
  description = "Blocks of the public subnets, one per zone; null to cut them from vpc_cidr."
  type        = list(string)
  default     = null
}

variable "private_subnet_cidrs" {
  description = "Blocks of the private subnets, one per zone; null to cut them from vpc_cidr."
  type        = list(string)
  default     = null
}

variable "ingress_cidrs" {
  description = "Who may reach the load balancer."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.ingress_cidrs) > 0 && alltrue([for cidr in var.ingress_cidrs : can(cidrnetmask(cidr))])
    error_message = "At least one IPv4 block such as 203.0.113.0/24."
  }
}

variable "certificate_arn" {
  description = "ACM certificate; with one, HTTPS is served and HTTP redirects to it."
  type        = string
  default     = null
}

# What

variable "container_image" {
  description = "Image of the web application, such as docker.io/you/web-ha:1.0.0; it is built from ./app."
  type        = string

  validation {
    # It ends up in a shell script.
    condition     = can(regex("^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$", var.container_image))
    error_message = "The image must be a plain reference such as registry.example.com/web-ha:1.0.0."
  }
}

variable "container_port" {
  description = "Port the application listens on inside its container."
  type        = number
  default     = 8000

  validation {
    condition     = var.container_port > 0 && var.container_port < 65536
    error_message = "A port between 1 and 65535."
  }
}

variable "insecure_registries" {
  description = "Registries (host or host:port) that may be pulled from over plain HTTP; for a private test registry only."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for registry in var.insecure_registries : can(regex("^[a-zA-Z0-9.-]+(:[0-9]+)?$", registry))])
    error_message = "Each entry must be a host or host:port."
  }
}

variable "health_check_path" {
  description = "Path that answers 200 when an instance can do its work."
  type        = string
  default     = "/health"

  validation {
    condition     = startswith(var.health_check_path, "/")
    error_message = "The path must begin with /."
  }
}

variable "ami_id" {
  description = "AMI to launch; null for the newest Debian 12. Any with cloud-init and apt or Docker will do."
  type        = string
  default     = null

  validation {
    condition     = var.ami_id == null || can(regex("^ami-[0-9a-f]{8,17}$", var.ami_id))
    error_message = "An AMI id looks like ami-0123456789abcdef0."
  }
}

variable "instance_type" {
  description = "Type of the instances; x86_64, to match the AMI."
  type        = string
  default     = "t3.micro"
}

# How many

variable "min_size" {
  description = "Fewest instances. The load must be bearable by those that remain when one zone is lost."
  type        = number
  default     = 2
}

variable "desired_capacity" {
  description = "Instances at the start; from then on the scaling policies decide."
  type        = number
  default     = 2
}

variable "max_size" {
  description = "Most instances."
  type        = number
  default     = 6
}

variable "health_check_grace_period" {
  description = "Seconds after launch in which failed health checks do not count: the time Docker and the image take."
  type        = number
  default     = 180
}

variable "target_cpu" {
  description = "Average CPU in per cent that the group is held at. With two zones, below half of what an instance can bear."
  type        = number
  default     = 45

  validation {
    condition     = var.target_cpu >= 10 && var.target_cpu <= 90
    error_message = "Between 10 and 90 per cent."
  }
}

variable "cpu_high_threshold" {
  description = "Average CPU in per cent above which instances are added in steps, faster than target tracking would."
  type        = number
  default     = 75
}

variable "cpu_low_threshold" {
  description = "Average CPU in per cent below which an instance is removed."
  type        = number
  default     = 15
}

variable "alarm_actions" {
  description = "ARNs, such as an SNS topic, told about alarms that a person should see."
  type        = list(string)
  default     = []
}

# Around it

variable "session_manager" {
  description = "Give the instances a role for Systems Manager Session Manager: shell access without SSH or open ports. The AMI must have its agent."
  type        = bool
  default     = false
}

variable "create_artifacts_bucket" {
  description = "Create a private, versioned, encrypted bucket for release artifacts."
  type        = bool
  default     = true
}

variable "deletion_protection" {
  description = "Protect the load balancer from deletion and keep a bucket that is not empty. Turn on in production."
  type        = bool
  default     = false
}
