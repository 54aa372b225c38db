# Two sites behind one name: DNS leads to the second while the first fails its health check.

terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  region = "eu-west-1"
}

data "aws_ami" "debian" {
  most_recent = true
  owners      = ["136693071363"]

  filter {
    name   = "name"
    values = ["debian-12-amd64-*"]
  }
}

data "aws_vpc" "default" {
  default = true
}

data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

resource "aws_security_group" "web" {
  name   = "dns-web"
  vpc_id = data.aws_vpc.default.id

  ingress {
    from_port   = 80
    to_port     = 80
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }

  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_instance" "site" {
  count                       = 2
  ami                         = data.aws_ami.debian.id
  instance_type               = "t3.micro"
  subnet_id                   = sort(data.aws_subnets.default.ids)[count.index]
  vpc_security_group_ids      = [aws_security_group.web.id]
  associate_public_ip_address = true
  user_data                   = <<-EOT
    #!/bin/sh
    mkdir -p /srv/site && echo "all is well at site ${count.index}" >/srv/site/health
    systemd-run --unit=site python3 -m http.server 80 --directory /srv/site
  EOT
}

resource "aws_route53_zone" "public" {
  name = "shop.example"
  tags = { Stack = "dns" }
}

resource "aws_route53_health_check" "first" {
  ip_address        = aws_instance.site[0].public_ip
  port              = 80
  type              = "HTTP_STR_MATCH"
  resource_path     = "/health"
  search_string     = "all is well"
  request_interval  = 10
  failure_threshold = 2
  tags              = { Name = "first site" }
}

resource "aws_route53_record" "site" {
  count           = 2
  zone_id         = aws_route53_zone.public.zone_id
  name            = "www"
  type            = "A"
  ttl             = 5
  records         = [aws_instance.site[count.index].public_ip]
  set_identifier  = "site-${count.index}"
  health_check_id = count.index == 0 ? aws_route53_health_check.first.id : null

  failover_routing_policy {
    type = count.index == 0 ? "PRIMARY" : "SECONDARY"
  }
}

resource "aws_route53_record" "apex" {
  zone_id = aws_route53_zone.public.zone_id
  name    = "shop.example"
  type    = "A"

  alias {
    name                   = "www.shop.example"
    zone_id                = aws_route53_zone.public.zone_id
    evaluate_target_health = true
  }

  depends_on = [aws_route53_record.site]
}

resource "aws_route53_record" "text" {
  zone_id = aws_route53_zone.public.zone_id
  name    = "*.shop.example"
  type    = "TXT"
  ttl     = 300
  records = ["v=spf1 -all", "nobody here"]
}

resource "aws_acm_certificate" "shop" {
  domain_name               = "shop.example"
  subject_alternative_names = ["*.shop.example"]
  validation_method         = "DNS"
}

resource "aws_route53_record" "validation" {
  for_each = {
    for option in aws_acm_certificate.shop.domain_validation_options : option.domain_name => option
  }
  zone_id         = aws_route53_zone.public.zone_id
  name            = each.value.resource_record_name
  type            = each.value.resource_record_type
  ttl             = 60
  records         = [each.value.resource_record_value]
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "shop" {
  certificate_arn         = aws_acm_certificate.shop.arn
  validation_record_fqdns = [for record in aws_route53_record.validation : record.fqdn]
}

resource "aws_route53_zone" "private" {
  name = "corp.internal"

  vpc {
    vpc_id = data.aws_vpc.default.id
  }
}

resource "aws_route53_record" "database" {
  zone_id = aws_route53_zone.private.zone_id
  name    = "db"
  type    = "A"
  ttl     = 60
  records = [aws_instance.site[1].private_ip]
}

resource "aws_route53_record" "shop" {
  zone_id = aws_route53_zone.private.zone_id
  name    = "shop"
  type    = "CNAME"
  ttl     = 60
  records = ["www.shop.example"]
}

data "aws_route53_zone" "public" {
  name       = "shop.example."
  depends_on = [aws_route53_zone.public]
}

output "instances" {
  value = aws_instance.site[*].id
}

output "public" {
  value = aws_instance.site[*].public_ip
}

output "private" {
  value = aws_instance.site[*].private_ip
}

output "zone" {
  value = data.aws_route53_zone.public.zone_id
}

output "health_check" {
  value = aws_route53_health_check.first.id
}

output "certificate" {
  value = aws_acm_certificate_validation.shop.certificate_arn
}
