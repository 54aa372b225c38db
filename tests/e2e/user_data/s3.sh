#!/bin/bash
# The release lies in S3; the instance's role may fetch it.
set -euo pipefail
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends awscli
token=$(curl -sS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' http://169.254.169.254/latest/api/token)
AWS_DEFAULT_REGION=$(curl -sS -H "X-aws-ec2-metadata-token: $token" http://169.254.169.254/latest/meta-data/placement/region)
export AWS_DEFAULT_REGION
mkdir -p /srv/s3
aws s3 cp s3://${bucket}/release.html /srv/s3/index.html
date | aws s3 cp - s3://${bucket}/deployed
systemd-run --unit site python3 -m http.server --directory /srv 8080
