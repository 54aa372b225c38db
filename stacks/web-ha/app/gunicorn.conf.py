"""Server settings; each one has a counterpart in the load balancer."""

import os

bind = f"0.0.0.0:{os.environ.get('PORT', '8000')}"
wsgi_app = "webtier.wsgi:application"

# One process per vCPU of the small instance types; threads carry the waiting.
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = 8
# Before the fork, so that all workers share one request counter and most of their memory.
preload_app = True

# Longer than the balancer's idle timeout (60 s): the balancer must be the one who closes an idle
# connection, otherwise it now and then sends a request into a closing one and answers 502.
keepalive = 75
# Longer than the target group's deregistration delay (30 s), so that a stop ends no request.
graceful_timeout = 35
timeout = 45

# The heartbeat file in memory: a busy disk must not look like a hung worker.
worker_tmp_dir = "/dev/shm"
# Only the balancer reaches this port.
forwarded_allow_ips = "*"
errorlog = "-"
accesslog = os.environ.get("ACCESS_LOG") or None
