# Two targets in two zones behind a Network Load Balancer that has Elastic IPs: TCP under the
# clients' addresses, UDP, and a second one inside that has a security group and fixed addresses.
# relayed.tf has what the kernel cannot pass on by itself.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.0"
    }
  }
}

provider "aws" {
  region = "us-east-1"
}

locals {
  zones = ["us-east-1a", "us-east-1b"]
}

data "aws_ami" "debian" {
  most_recent = true
  owners      = ["136693071363"]

  filter {
    name   = "name"
    values = ["debian-12-amd64-*"]
  }
}

resource "aws_vpc" "this" {
  cidr_block = "10.90.0.0/16"
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_default_route_table" "this" {
  default_route_table_id = aws_vpc.this.default_route_table_id

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this.id
  }
}

resource "aws_subnet" "this" {
  count             = length(local.zones)
  vpc_id            = aws_vpc.this.id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(aws_vpc.this.cidr_block, 8, count.index)
}

# Clients reach targets under their own addresses, so it is they whom the targets let in; health
# checks come from the nodes, and the inner load balancer is known by its group.
resource "aws_security_group" "target" {
  name   = "nlb-target"
  vpc_id = aws_vpc.this.id

  ingress {
    protocol    = "tcp"
    from_port   = 8080
    to_port     = 8080
    cidr_blocks = ["198.18.0.0/15", aws_vpc.this.cidr_block]
  }

  ingress {
    protocol    = "udp"
    from_port   = 8080
    to_port     = 8080
    cidr_blocks = ["198.18.0.0/15"]
  }

  ingress {
    protocol    = "tcp"
    from_port   = 8082
    to_port     = 8083
    cidr_blocks = ["198.18.0.0/15", aws_vpc.this.cidr_block]
  }

  ingress {
    protocol        = "tcp"
    from_port       = 8081
    to_port         = 8081
    security_groups = [aws_security_group.inner.id]
  }

  egress {
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "inner" {
  name   = "nlb-inner"
  vpc_id = aws_vpc.this.id

  ingress {
    protocol    = "tcp"
    from_port   = 80
    to_port     = 80
    cidr_blocks = [aws_vpc.this.cidr_block]
  }

  egress {
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_instance" "target" {
  count                  = length(local.zones)
  ami                    = data.aws_ami.debian.id
  instance_type          = "t3.micro"
  subnet_id              = aws_subnet.this[count.index].id
  vpc_security_group_ids = [aws_security_group.target.id]

  user_data = <<-SCRIPT
    #!/bin/sh
    cat > /usr/local/bin/serve <<'PYTHON'
    import http.server, socket, socketserver, threading

    def answer(peer):
        return f"{peer[0]} {socket.gethostname()}\n".encode()

    class Stream(socketserver.BaseRequestHandler):
        def handle(self):
            while self.request.recv(1000):
                self.request.sendall(answer(self.client_address))

    class Datagram(socketserver.BaseRequestHandler):
        def handle(self):
            self.request[1].sendto(answer(self.client_address), self.client_address)

    class Told(socketserver.BaseRequestHandler):
        """Answers whom a PROXY header names, and after the name who connected."""
        def handle(self):
            head = self.request.recv(16, socket.MSG_WAITALL)
            if len(head) == 16 and head.startswith(b"\r\n\r\n\0\r\nQUIT\n") and head[12] == 0x21:
                rest = self.request.recv(int.from_bytes(head[14:16], "big"), socket.MSG_WAITALL)
                while self.request.recv(1000):
                    told = answer((socket.inet_ntoa(rest[:4]),)).strip()
                    self.request.sendall(told + b" " + self.client_address[0].encode())

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            text = answer(self.client_address).strip() + f" {self.headers['X-Forwarded-For']}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        request_queue_size = 100

    for port, handler in ((8080, Stream), (8081, Stream), (8082, Told), (8083, Page)):
        threading.Thread(target=Server(("", port), handler).serve_forever).start()
    socketserver.UDPServer(("", 8080), Datagram).serve_forever()
    PYTHON
    systemd-run --unit serve python3 /usr/local/bin/serve
  SCRIPT
}

resource "aws_eip" "node" {
  count  = length(local.zones)
  domain = "vpc"
}

resource "aws_lb" "outer" {
  name               = "outer"
  load_balancer_type = "network"

  enable_cross_zone_load_balancing = true

  dynamic "subnet_mapping" {
    for_each = range(length(local.zones))

    content {
      subnet_id     = aws_subnet.this[subnet_mapping.value].id
      allocation_id = aws_eip.node[subnet_mapping.value].id
    }
  }

  access_logs {
    bucket  = aws_s3_bucket.logs.id
    prefix  = "flows"
    enabled = true
  }

  depends_on = [aws_internet_gateway.this, aws_s3_bucket_policy.logs]
}

resource "aws_lb_target_group" "outer" {
  name                 = "outer"
  port                 = 8080
  protocol             = "TCP_UDP"
  vpc_id               = aws_vpc.this.id
  deregistration_delay = 10

  health_check {
    protocol            = "TCP"
    interval            = 5
    timeout             = 4
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_target_group_attachment" "outer" {
  count            = length(local.zones)
  target_group_arn = aws_lb_target_group.outer.arn
  target_id        = aws_instance.target[count.index].id
}

resource "aws_lb_listener" "outer" {
  load_balancer_arn = aws_lb.outer.arn
  port              = 80
  protocol          = "TCP_UDP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.outer.arn
  }
}

resource "aws_lb" "inner" {
  name               = "inner"
  internal           = true
  load_balancer_type = "network"
  security_groups    = [aws_security_group.inner.id]

  dynamic "subnet_mapping" {
    for_each = range(length(local.zones))

    content {
      subnet_id            = aws_subnet.this[subnet_mapping.value].id
      private_ipv4_address = cidrhost(aws_subnet.this[subnet_mapping.value].cidr_block, 200)
    }
  }
}

resource "aws_lb_target_group" "inner" {
  name               = "inner"
  port               = 8081
  protocol           = "TCP"
  target_type        = "ip"
  preserve_client_ip = true
  vpc_id             = aws_vpc.this.id

  health_check {
    protocol = "TCP"
    interval = 5
    timeout  = 4
  }
}

resource "aws_lb_target_group_attachment" "inner" {
  count            = length(local.zones)
  target_group_arn = aws_lb_target_group.inner.arn
  target_id        = aws_instance.target[count.index].private_ip
}

resource "aws_lb_listener" "inner" {
  load_balancer_arn        = aws_lb.inner.arn
  port                     = 80
  protocol                 = "TCP"
  tcp_idle_timeout_seconds = 60

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.inner.arn
  }
}

output "instances" {
  value = aws_instance.target[*].id
}

output "groups" {
  value = [aws_lb_target_group.outer.arn, aws_lb_target_group.inner.arn]
}

output "addresses" {
  value = aws_eip.node[*].public_ip
}

output "names" {
  value = { outer = aws_lb.outer.dns_name, inner = aws_lb.inner.dns_name }
}

output "private_addresses" {
  value = aws_instance.target[*].private_ip
}
