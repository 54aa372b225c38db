"""Settings of the web tier. Everything that differs between environments is an environment variable."""

import os
import secrets
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = os.environ.get("DJANGO_DEBUG") == "1"
# No sessions, no forms, no signed values: a key per start is enough unless one is given.
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or secrets.token_urlsafe(50)
# The security group lets only the load balancer in, and its health checks name the instance's address.
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "*").split(",")

INSTALLED_APPS = ["pages"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "pages.middleware.count_requests",
    "django.middleware.common.CommonMiddleware",
]
ROOT_URLCONF = "webtier.urls"
WSGI_APPLICATION = "webtier.wsgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

# The tier keeps no state: an instance can go at any moment without anything being lost.
DATABASES = {}

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}

# Ours
APP_VERSION = os.environ.get("APP_VERSION", "1.0.0")
METADATA_URL = os.environ.get("METADATA_URL", "http://169.254.169.254")
# While this file exists, /health answers 503: takes an instance out of the balancer by hand.
MAINTENANCE_FILE = Path(os.environ.get("MAINTENANCE_FILE", "/tmp/maintenance"))
BURN_LIMIT_SECONDS = 30  # below the load balancer's idle timeout of 60 s
