"""Checks answers against botocore's models: no element that AWS's model does not know.

botocore drops what it does not know, so a misspelt member passes every SDK test
unseen. A Checker listens on a client and walks each raw answer beside the model's
output shape; what the model lacks is an error, what only the model has is counted
as a hint (`--missing` prints it), since most members are optional.

As a program it asks an endpoint for everything that can be described:
    python tests/api/strict.py --endpoint http://127.0.0.1:4566 [--missing] [ec2 elbv2 ...]
"""

import argparse
import json
import sys
import xml.etree.ElementTree as ET

import boto3
import botocore.config
import botocore.exceptions

# What AWS answers though its own model has another spelling.
SPELT_OTHERWISE = {
    ("PermissionsBoundaryType", "Policy"),
    ("interfaceType", "nat_gateway"),
    ("interfaceType", "ec2_instance_connect_endpoint"),
    ("internetGatewaySet.attachmentSet.state", "available"),
    ("vpcEndpointSet.state", "pending"),
    ("vpcEndpointSet.state", "available"),
    ("vpcEndpointSet.state", "deleting"),
    ("vpcEndpoint.state", "pending"),
    ("vpcEndpoint.state", "available"),
}

# EC2 acknowledges calls without output so; the model has no shape for it.
ACKNOWLEDGED = {"return", "requestId"}


class Checker:
    """Collects what a client's answers hold beyond the model, and what they lack."""

    def __init__(self, client):
        self.unknown = set()
        self.missing = {}
        self.calls = {}
        self.protocol = client.meta.service_model.metadata["protocol"]
        events = client.meta.events
        events.register("before-parse", self._parse)

    def _parse(self, operation_model, response_dict, **_):
        name = operation_model.name
        self.calls[name] = self.calls.get(name, 0) + 1
        body = response_dict["body"]
        if response_dict["status_code"] >= 300 or not body:
            return
        shape = operation_model.output_shape
        if self.protocol in ("ec2", "query"):
            root = strip_namespaces(ET.fromstring(body))
            if self.protocol == "query":
                wrapper = shape.serialization.get("resultWrapper") if shape else None
                self._fields(name, list(root), {"ResponseMetadata", wrapper})
                root = root.find(wrapper) if wrapper else None
            if root is not None:
                self._structure(name, shape, root)
        elif self.protocol == "rest-xml" and shape is not None:
            self._structure(name, shape, strip_namespaces(ET.fromstring(body)))
        elif self.protocol in ("json", "rest-json") and shape is not None:
            self._json(name, shape, json.loads(body))

    def _fields(self, path, elements, known):
        for element in elements:
            if element.tag not in known:
                self.unknown.add(f"{path}.{element.tag}")

    def _structure(self, path, shape, element):
        if shape is None:
            self._fields(path, list(element), ACKNOWLEDGED)
            return
        members = {
            member.serialization.get("name", name): member
            for name, member in shape.members.items()
        }
        seen = set()
        for child in element:
            if child.tag in members:
                seen.add(child.tag)
                self._value(f"{path}.{child.tag}", members[child.tag], child)
            elif child.tag not in ACKNOWLEDGED:
                self.unknown.add(f"{path}.{child.tag}")
        for name in members.keys() - seen:
            self.missing[f"{path}.{name}"] = self.missing.get(f"{path}.{name}", 0) + 1

    def _value(self, path, shape, element):
        kind = shape.type_name
        if kind == "structure":
            self._structure(path, shape, element)
        elif kind == "list":
            item = shape.member.serialization.get(
                "name", "item" if self.protocol == "ec2" else "member"
            )
            for child in element:
                if child.tag != item:
                    self.unknown.add(f"{path}.{child.tag}")
                else:
                    self._value(path, shape.member, child)
        elif kind == "map":
            self._fields(path, list(element), {"entry"})
        else:
            self._scalar(path, shape, element.text or "")
            if len(element):
                self.unknown.add(f"{path}: a {kind} with elements inside")

    def _scalar(self, path, shape, text):
        kind = shape.type_name
        good = {
            "boolean": lambda: text in ("true", "false"),
            "integer": lambda: str(int(text)) == text,
            "long": lambda: str(int(text)) == text,
            "timestamp": lambda: text.endswith("Z"),
        }.get(kind, lambda: True)
        try:
            if not good():
                self.unknown.add(f"{path}: '{text}' is no {kind}")
        except ValueError:
            self.unknown.add(f"{path}: '{text}' is no {kind}")
        allowed = getattr(shape, "enum", None)
        otherwise = any(path.endswith(p) and text == t for p, t in SPELT_OTHERWISE)
        if allowed and text not in allowed and not otherwise:
            self.unknown.add(f"{path}: '{text}' is none of {allowed}")

    def _json(self, path, shape, value):
        if shape.type_name == "structure" and isinstance(value, dict):
            for name, inner in value.items():
                if name in shape.members:
                    self._json(f"{path}.{name}", shape.members[name], inner)
                else:
                    self.unknown.add(f"{path}.{name}")
        elif shape.type_name == "list" and isinstance(value, list):
            for inner in value:
                self._json(path, shape.member, inner)


def strip_namespaces(element):
    for e in element.iter():
        e.tag = e.tag.rsplit("}", 1)[-1]
    return element


def client(service, endpoint, account="test", region="us-east-1"):
    """A client of a local endpoint that says at once what went wrong."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=account,
        aws_secret_access_key="test",
        config=botocore.config.Config(
            retries={"total_max_attempts": 1},
            # Wrong values must reach the endpoint.
            parameter_validation=False,
        ),
    )


def code_of(call, *positional, **arguments):
    """The error code a call is refused with; None where it succeeds."""
    try:
        call(*positional, **arguments)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return None


def message_of(call, *positional, **arguments):
    """What an action's refusal says; None where it is carried out."""
    try:
        call(*positional, **arguments)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Message"]
    return None


def describe_everything(service, endpoint):
    """Calls every Describe and List operation that needs no input."""
    c = client(service, endpoint)
    checker = Checker(c)
    refused = {}
    for name in c.meta.service_model.operation_names:
        model = c.meta.service_model.operation_model(name)
        needs = model.input_shape.required_members if model.input_shape else []
        if name.startswith(("Describe", "List")) and not needs:
            code = code_of(c._make_api_call, operation_name=name, api_params={})
            if code is not None:
                refused[name] = code
    return checker, refused


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--missing", action="store_true")
    parser.add_argument("services", nargs="*", default=[])
    options = parser.parse_args()
    services = options.services or ["ec2", "elbv2", "autoscaling", "iam", "sts"]
    failed = False
    for service in services:
        checker, refused = describe_everything(service, options.endpoint)
        print(f"{service}: {len(checker.calls) - len(refused)} calls answered")
        for problem in sorted(checker.unknown):
            failed = True
            print(f"  not in the model: {problem}")
        if options.missing:
            for name in sorted(checker.missing):
                print(f"  only in the model: {name}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
