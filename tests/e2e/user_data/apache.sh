#!/bin/bash
# A web server from the distribution, and a page that tells which machine answers.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y apache2

token=$(curl -sS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' http://169.254.169.254/latest/api/token)
about() { curl -sS -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"; }

mkdir -p /var/www/html/apache
cat >/var/www/html/apache/index.html <<PAGE
<h1>Apache</h1>
<p>$(about instance-id) of type $(about instance-type) in $(about placement/availability-zone)</p>
PAGE
systemctl enable --now apache2
