# A repository of container images with everything around it, and an instance whose role may pull.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  region = "us-west-2"
}

variable "pushed" {
  description = "The image is there to be looked up."
  type        = bool
  default     = false
}

resource "aws_ecr_repository" "app" {
  name                 = "team/app"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true
  tags                 = { Stack = "registry" }

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_repository" "copy" {
  name         = "copy"
  force_delete = true
}

resource "aws_ecr_lifecycle_policy" "app" {
  repository = aws_ecr_repository.app.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Keep the last ten"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 10 }
      action       = { type = "expire" }
    }]
  })
}

resource "aws_ecr_repository_policy" "app" {
  repository = aws_ecr_repository.app.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "pull"
      Effect    = "Allow"
      Principal = { AWS = aws_iam_role.puller.arn }
      Action    = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    }]
  })
}

data "aws_ecr_repository" "app" {
  name = aws_ecr_repository.app.name
}

data "aws_ecr_authorization_token" "here" {}

data "aws_ecr_image" "app" {
  count           = var.pushed ? 1 : 0
  repository_name = aws_ecr_repository.app.name
  image_tag       = "1"
}

data "aws_ami" "docker" {
  most_recent = true
  owners      = ["000000000000"]
  filter {
    name   = "name"
    values = ["nines-debian-12-docker*"]
  }
}

resource "aws_iam_role" "puller" {
  name = "puller"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_instance_profile" "puller" {
  name = "puller"
  role = aws_iam_role.puller.name
}

resource "aws_instance" "puller" {
  ami                  = data.aws_ami.docker.id
  instance_type        = "t3.small"
  iam_instance_profile = aws_iam_instance_profile.puller.name
}

output "url" {
  value = data.aws_ecr_repository.app.repository_url
}

output "endpoint" {
  value     = data.aws_ecr_authorization_token.here.proxy_endpoint
  sensitive = true
}

output "digest" {
  value = one(data.aws_ecr_image.app[*].image_digest)
}

output "instance" {
  value = aws_instance.puller.id
}
