# What the kernel leaves to the balancer's process, on the outer load balancer: TLS that ends here,
# targets told of their clients by PROXY headers, an Application Load Balancer as target. Logs go to a bucket.

variable "keys" {
  description = "Directory of certificate.pem and key.pem."
  type        = string
}

data "aws_caller_identity" "this" {}

resource "aws_acm_certificate" "outer" {
  certificate_body = file("${var.keys}/certificate.pem")
  private_key      = file("${var.keys}/key.pem")
}

resource "aws_lb_target_group" "told" {
  name               = "told"
  port               = 8082
  protocol           = "TCP"
  proxy_protocol_v2  = true
  preserve_client_ip = false
  vpc_id             = aws_vpc.this.id

  health_check {
    protocol = "TCP"
    interval = 5
    timeout  = 4
  }
}

resource "aws_lb_target_group" "plain" {
  name     = "plain"
  port     = 8083
  protocol = "TCP"
  vpc_id   = aws_vpc.this.id

  health_check {
    protocol = "HTTP"
    path     = "/"
    interval = 5
    timeout  = 4
  }
}

resource "aws_lb_target_group" "site" {
  name     = "site"
  port     = 8083
  protocol = "HTTP"
  vpc_id   = aws_vpc.this.id

  health_check {
    interval = 5
    timeout  = 4
  }
}

resource "aws_lb_target_group_attachment" "told" {
  count            = length(local.zones)
  target_group_arn = aws_lb_target_group.told.arn
  target_id        = aws_instance.target[count.index].id
}

resource "aws_lb_target_group_attachment" "plain" {
  count            = length(local.zones)
  target_group_arn = aws_lb_target_group.plain.arn
  target_id        = aws_instance.target[count.index].id
}

resource "aws_lb_target_group_attachment" "site" {
  count            = length(local.zones)
  target_group_arn = aws_lb_target_group.site.arn
  target_id        = aws_instance.target[count.index].id
}

resource "aws_security_group" "site" {
  name   = "nlb-site"
  vpc_id = aws_vpc.this.id

  ingress {
    protocol    = "tcp"
    from_port   = 80
    to_port     = 80
    cidr_blocks = ["198.18.0.0/15", aws_vpc.this.cidr_block]
  }

  egress {
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_lb" "site" {
  name            = "site"
  internal        = true
  security_groups = [aws_security_group.site.id]
  subnets         = aws_subnet.this[*].id

  connection_logs {
    bucket  = aws_s3_bucket.logs.id
    enabled = true
  }

  depends_on = [aws_s3_bucket_policy.logs]
}

resource "aws_lb_listener" "site" {
  load_balancer_arn = aws_lb.site.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.site.arn
  }
}

resource "aws_lb_target_group" "sites" {
  name        = "sites"
  port        = 80
  protocol    = "TCP"
  target_type = "alb"
  vpc_id      = aws_vpc.this.id

  health_check {
    protocol = "HTTP"
    interval = 5
    timeout  = 4
  }
}

resource "aws_lb_target_group_attachment" "sites" {
  target_group_arn = aws_lb_target_group.sites.arn
  target_id        = aws_lb.site.arn

  # The port must be one that it listens on.
  depends_on = [aws_lb_listener.site]
}

resource "aws_lb_listener" "told" {
  load_balancer_arn = aws_lb.outer.arn
  port              = 8082
  protocol          = "TCP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.told.arn
  }
}

resource "aws_lb_listener" "secure" {
  load_balancer_arn = aws_lb.outer.arn
  port              = 443
  protocol          = "TLS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = aws_acm_certificate.outer.arn
  alpn_policy       = "HTTP1Only"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.plain.arn
  }
}

resource "aws_lb_listener" "sites" {
  load_balancer_arn = aws_lb.outer.arn
  port              = 8080
  protocol          = "TCP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.sites.arn
  }
}

resource "aws_s3_bucket" "logs" {
  bucket        = "flow-logs"
  force_destroy = true
}

resource "aws_s3_bucket_policy" "logs" {
  bucket = aws_s3_bucket.logs.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Principal = { Service = ["delivery.logs.amazonaws.com", "logdelivery.elasticloadbalancing.amazonaws.com"] }
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.logs.arn}/*"
      },
      {
        Effect    = "Allow"
        Principal = { Service = "delivery.logs.amazonaws.com" }
        Action    = "s3:GetBucketAcl"
        Resource  = aws_s3_bucket.logs.arn
      },
    ]
  })
}

output "relayed" {
  value = [aws_lb_target_group.told.arn, aws_lb_target_group.plain.arn, aws_lb_target_group.site.arn]
}

output "sites" {
  value = { group = aws_lb_target_group.sites.arn, target = aws_lb.site.arn }
}

output "account" {
  value = data.aws_caller_identity.this.account_id
}
