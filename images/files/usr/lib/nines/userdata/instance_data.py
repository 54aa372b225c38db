"""What is known of the instance, as files under /run/cloud-init and as the values of templates.

https://cloudinit.readthedocs.io/en/latest/explanation/instancedata.html: the whole metadata under `ds`, what all
clouds have under `v1`. Root's copy holds everything; in the one for all users credentials are left out.
"""

import json
import os
import re
import sys

from . import packages

PLACE, SENSITIVE = "run/cloud-init/instance-data.json", "run/cloud-init/instance-data-sensitive.json"
REDACTED = "redacted for non-root user"
# Keys that hold secrets, wherever they are.
SECRET = "security-credentials"
MISSING = "CI_MISSING_JINJA_VAR/"


def gather(metadata, instance, machine):
    meta = metadata.tree("meta-data/")
    try:
        document = json.loads(metadata.get("dynamic/instance-identity/document") or b"{}")
    except ValueError:
        document = {}
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', machine.read("etc/os-release") or "", re.MULTILINE))
    placement = meta.get("placement") if isinstance(meta.get("placement"), dict) else {}
    kernel = os.uname()
    keys = meta.get("public-keys") if isinstance(meta.get("public-keys"), dict) else {}
    v1 = {
        "_beta_keys": ["subplatform"],
        "availability_zone": placement.get("availability-zone"),
        "cloud_id": "aws",
        "cloud_name": "aws",
        "distro": release.get("ID"),
        "distro_release": release.get("VERSION_CODENAME"),
        "distro_version": release.get("VERSION_ID"),
        "instance_id": instance,
        "kernel_release": kernel.release,
        "local_hostname": str(meta.get("local-hostname") or "").split(".")[0],
        "machine": kernel.machine,
        "platform": "ec2",
        "public_ssh_keys": [key for key in keys.values() if isinstance(key, str)],
        "python_version": ".".join(map(str, sys.version_info[:3])),
        "region": placement.get("region") or document.get("region"),
        "subplatform": "metadata (http://169.254.169.254)",
        "system_platform": f"{kernel.sysname}-{kernel.release}-{kernel.machine}",
        "variant": release.get("ID"),
    }
    # Names that older scripts ask for.
    v1 |= {name.replace("_", "-"): v1[name] for name in ("availability_zone", "cloud_name", "instance_id", "local_hostname")}
    ds = {"meta_data": meta, "dynamic": {"instance-identity": {"document": document}}}
    return {"base64_encoded_keys": [], "ds": ds, "platform": "ec2", "sensitive_keys": secrets(ds, "ds"), "v1": v1}


def secrets(value, path):
    """Where secrets are, as `a/b/c`."""
    found = []
    for key, below in value.items():
        if key == SECRET:
            found.append(f"{path}/{key}")
        elif isinstance(below, dict):
            found += secrets(below, f"{path}/{key}")
    return found


def without_secrets(value):
    if not isinstance(value, dict):
        return value
    return {key: REDACTED if key == SECRET else without_secrets(below) for key, below in value.items()}


def write(machine, data):
    machine.write("run/cloud-init/cloud-id-aws", "aws\n")
    link = machine.path("run/cloud-init/cloud-id")
    if not os.path.lexists(link):
        os.symlink("/run/cloud-init/cloud-id-aws", link)
    for place, content, mode in ((SENSITIVE, data, 0o600), (PLACE, without_secrets(data), 0o644)):
        machine.write(f"{place}.new", json.dumps(content, indent=1, sort_keys=True) + "\n", mode)
        os.rename(machine.path(f"{place}.new"), machine.path(place))


def known(data):
    """All that can be named: what is common to clouds is at the top, too."""
    return data | data["v1"]


def lookup(data, path):
    """The value at `a.b-c` in nested mappings; names may be given with `_` for `-`, as in templates."""
    walked = []
    for name in path.split("."):
        keys = data if isinstance(data, dict) else {}
        key = next((key for key in keys if key == name or key.replace("-", "_") == name), None)
        if key is None:
            where = ".".join(walked)
            raise KeyError(f"instance-data '{where}' has no '{name}'" if walked else f"Undefined instance-data key '{path}'")
        walked.append(name)
        data = data[key]
    return data


def template(text, data, warn):
    """What a Jinja template makes of the data; ValueError if it is none."""
    packages()
    try:
        import jinja2  # no other user data needs it
    except ImportError:
        raise ValueError("this image has no Jinja (python3-jinja2) to fill templates with") from None

    class Missing(jinja2.DebugUndefined):
        def __str__(self):
            return f"{MISSING}{self._undefined_name}"

    environment = jinja2.Environment(undefined=Missing, trim_blocks=True, keep_trailing_newline=True, extensions=["jinja2.ext.do"])
    try:
        filled = environment.from_string(text).render(**aliased(known(data)))
    except Exception as error:  # a template is a program: what it raises while it runs may be anything
        raise ValueError(f"the template cannot be filled: {error}") from error
    missing = re.findall(rf"{MISSING}(\S+)", filled)
    if missing:
        names = ", ".join(repr(name) for name in missing)
        warn(f"Could not render jinja template variables: {names}")
    return filled


def aliased(value):
    """With a name beside each that a template could only write as `a['b-c']`."""
    if not isinstance(value, dict):
        return value
    own = {key: aliased(below) for key, below in value.items()}
    return {re.sub(r"[-.]", "_", key): below for key, below in own.items()} | own
