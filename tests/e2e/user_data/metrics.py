#!/usr/bin/python3
"""An agent in the small: pushes a figure of the machine to CloudWatch with the instance's role."""
import http.server
import json
import os
import subprocess
import urllib.request

subprocess.run("apt-get update -qq && apt-get install -qq -y --no-install-recommends python3-boto3", shell=True, check=True)
import boto3


def imds(path, method="GET", **headers):
    request = urllib.request.Request(f"http://169.254.169.254/latest/{path}", method=method, headers=headers)
    return urllib.request.urlopen(request, timeout=5).read().decode()


token = imds("api/token", "PUT", **{"X-aws-ec2-metadata-token-ttl-seconds": "300"})
document = json.loads(imds("dynamic/instance-identity/document", **{"X-aws-ec2-metadata-token": token}))
cloudwatch = boto3.client("cloudwatch", region_name=document["region"])
with open("/proc/meminfo") as file:
    memory = {line.split(":")[0]: int(line.split()[1]) for line in file}
used = 100 * (1 - memory["MemAvailable"] / memory["MemTotal"])
cloudwatch.put_metric_data(
    Namespace="CWAgent",
    MetricData=[{"MetricName": "mem_used_percent", "Value": used, "Unit": "Percent",
                 "Dimensions": [{"Name": "InstanceId", "Value": document["instanceId"]}]}],
)
os.makedirs("/srv/metrics", exist_ok=True)
with open("/srv/metrics/index.html", "w") as page:
    caller = boto3.client("sts", region_name=document["region"]).get_caller_identity()
    page.write(f"pushed {used:.1f} as {caller['Arn']}\n")
subprocess.Popen(["python3", "-m", "http.server", "--directory", "/srv", "8080"], start_new_session=True)
