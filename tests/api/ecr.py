"""Repositories of container images: what calls do and refuse, without a registry to push to.

    python tests/api/ecr.py --endpoint http://127.0.0.1:4566
"""

import argparse
import base64
import hashlib
import json
import random
import sys

from checks import check, failures, refused
from strict import Checker, client, code_of

EXPIRE = {"type": "expire"}


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def repositories(ecr, account):
    made = ecr.create_repository(repositoryName="team/app", tags=[{"Key": "k", "Value": "v"}])["repository"]
    host = f"{account}.dkr.ecr.us-east-1.amazonaws.com"
    arn = f"arn:aws:ecr:us-east-1:{account}:repository/team/app"
    check("made", (made["repositoryArn"], made["repositoryUri"]), (arn, f"{host}/team/app"))
    check("defaults", (made["imageTagMutability"], made["encryptionConfiguration"]), ("MUTABLE", {"encryptionType": "AES256"}))
    ecr.create_repository(repositoryName="other", imageTagMutability="IMMUTABLE", encryptionConfiguration={"encryptionType": "KMS"})
    names = lambda **more: [r["repositoryName"] for r in ecr.describe_repositories(**more)["repositories"]]
    check("described", names(), ["other", "team/app"])
    check("described by name", names(repositoryNames=["team/app"], registryId=account), ["team/app"])
    first = ecr.describe_repositories(maxResults=1)
    check("by pages", names(maxResults=1, nextToken=first["nextToken"]), ["team/app"])
    refused(
        (ecr.create_repository, dict(repositoryName="other"), "RepositoryAlreadyExistsException"),
        (ecr.create_repository, dict(repositoryName="Upper"), "InvalidParameterException"),
        (ecr.create_repository, dict(repositoryName="x/../y"), "InvalidParameterException"),
        (ecr.create_repository, dict(repositoryName="new", imageTagMutability="SOME"), "InvalidParameterException"),
        (ecr.create_repository, dict(repositoryName="new", imageTagMutability="IMMUTABLE_WITH_EXCLUSION"), "InvalidParameterException"),
        (ecr.describe_repositories, dict(repositoryNames=["none"]), "RepositoryNotFoundException"),
        (ecr.describe_repositories, dict(registryId="123123123123"), "AccessDeniedException"),
    )
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": "more", "Value": "1"}])
    ecr.untag_resource(resourceArn=arn, tagKeys=["k"])
    check("tags", ecr.list_tags_for_resource(resourceArn=arn)["tags"], [{"Key": "more", "Value": "1"}])
    token = ecr.get_authorization_token()["authorizationData"][0]
    check("proxy", token["proxyEndpoint"], f"https://{host}")
    check("user", base64.b64decode(token["authorizationToken"]).split(b":")[0], b"AWS")
    check("registry", ecr.describe_registry()["registryId"], account)


def settings(ecr):
    app = dict(repositoryName="team/app")
    filters = [{"filterType": "WILDCARD", "filter": "dev-*"}]
    put = ecr.put_image_tag_mutability(**app, imageTagMutability="IMMUTABLE_WITH_EXCLUSION", imageTagMutabilityExclusionFilters=filters)
    check("exclusions", put["imageTagMutabilityExclusionFilters"], filters)
    ecr.put_image_tag_mutability(**app, imageTagMutability="MUTABLE")
    ecr.put_image_scanning_configuration(**app, imageScanningConfiguration={"scanOnPush": True})
    check("scanning", ecr.describe_repositories(repositoryNames=["team/app"])["repositories"][0]["imageScanningConfiguration"], {"scanOnPush": True})
    check("no policy", code_of(ecr.get_repository_policy, **app), "RepositoryPolicyNotFoundException")
    policy = json.dumps({"Version": "2008-10-17", "Statement": [{"Sid": "all", "Effect": "Allow", "Principal": "*", "Action": "ecr:*"}]})
    ecr.set_repository_policy(**app, policyText=policy)
    check("policy", ecr.get_repository_policy(**app)["policyText"], policy)
    ecr.delete_repository_policy(**app)
    rule = lambda **selection: json.dumps({"rules": [{"rulePriority": 1, "selection": selection, "action": EXPIRE}]})
    good = rule(tagStatus="any", countType="imageCountMoreThan", countNumber=1000)
    check("no lifecycle", code_of(ecr.get_lifecycle_policy, **app), "LifecyclePolicyNotFoundException")
    ecr.put_lifecycle_policy(**app, lifecyclePolicyText=good)
    check("lifecycle", ecr.get_lifecycle_policy(**app)["lifecyclePolicyText"], good)
    ecr.delete_lifecycle_policy(**app)
    refused(
        (ecr.set_repository_policy, dict(app, policyText="{}"), "InvalidParameterException"),
        (ecr.delete_repository_policy, app, "RepositoryPolicyNotFoundException"),
        (ecr.delete_lifecycle_policy, app, "LifecyclePolicyNotFoundException"),
        (ecr.put_lifecycle_policy, dict(app, lifecyclePolicyText=rule(tagStatus="tagged", countType="imageCountMoreThan", countNumber=1)), "InvalidParameterException"),
        (ecr.put_lifecycle_policy, dict(app, lifecyclePolicyText='{"rules":[]}' + " " * 90), "InvalidParameterException"),
    )


def layer(ecr, content):
    app = dict(repositoryName="team/app")
    upload = dict(app, uploadId=ecr.initiate_layer_upload(**app)["uploadId"])
    half = len(content) // 2
    refused((ecr.complete_layer_upload, dict(upload, layerDigests=[digest(content)]), "EmptyUploadException"))
    ecr.upload_layer_part(**upload, partFirstByte=0, partLastByte=half - 1, layerPartBlob=content[:half])
    refused((ecr.upload_layer_part, dict(upload, partFirstByte=half + 1, partLastByte=half + 1, layerPartBlob=b"x"), "InvalidLayerPartException"))
    last = ecr.upload_layer_part(**upload, partFirstByte=half, partLastByte=len(content) - 1, layerPartBlob=content[half:])
    check("received", last["lastByteReceived"], len(content) - 1)
    check("completed", ecr.complete_layer_upload(**upload, layerDigests=[digest(content)])["layerDigest"], digest(content))
    refused((ecr.complete_layer_upload, dict(upload, layerDigests=[digest(content)]), "UploadNotFoundException"))
    return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(content), "size": len(content)}


def images(ecr):
    app = dict(repositoryName="team/app")
    parts = [layer(ecr, content) for content in (b'{"a": 1}', b"a layer", b"another")]
    manifest = lambda part: json.dumps({"schemaVersion": 2, "config": parts[0], "layers": [part]})
    one, two = manifest(parts[1]), manifest(parts[2])
    ones, twos = digest(one.encode()), digest(two.encode())
    put = ecr.put_image(**app, imageManifest=one, imageTag="v1")["image"]
    check("put", put["imageId"], {"imageDigest": ones, "imageTag": "v1"})
    ecr.put_image(**app, imageManifest=one, imageTag="v2")
    ecr.put_image(**app, imageManifest=two, imageTag="v2")
    absent = manifest(dict(parts[1], digest=digest(b"absent")))
    ecr.put_image_tag_mutability(**app, imageTagMutability="IMMUTABLE")
    refused(
        (ecr.put_image, dict(app, imageManifest=one, imageTag="v1"), "ImageAlreadyExistsException"),
        (ecr.put_image, dict(app, imageManifest=two, imageTag="v1"), "ImageTagAlreadyExistsException"),
        (ecr.put_image, dict(app, imageManifest=absent, imageTag="v3"), "LayersNotFoundException"),
        (ecr.put_image, dict(app, imageManifest=one, imageDigest=twos), "ImageDigestDoesNotMatchException"),
        (ecr.put_image, dict(app, imageManifest="{}", imageTag="v3"), "InvalidParameterException"),
        (ecr.describe_images, dict(app, imageIds=[{"imageTag": "v9"}]), "ImageNotFoundException"),
        (ecr.delete_repository, app, "RepositoryNotEmptyException"),
        (ecr.get_download_url_for_layer, dict(app, layerDigest=digest(b"absent")), "LayersNotFoundException"),
    )
    listed = sorted((i["imageDigest"], i["imageTag"]) for i in ecr.list_images(**app)["imageIds"])
    check("listed", listed, sorted([(ones, "v1"), (twos, "v2")]))
    described = ecr.describe_images(**app, imageIds=[{"imageTag": "v2"}])["imageDetails"][0]
    check("described", (described["imageDigest"], described["imageSizeInBytes"]), (twos, 15))
    got = ecr.batch_get_image(**app, imageIds=[{"imageTag": "v1"}, {"imageTag": "none"}, {"imageTag": "v1", "imageDigest": twos}])
    check("got", [i["imageManifest"] for i in got["images"]], [one])
    check("not got", [f["failureCode"] for f in got["failures"]], ["ImageNotFound", "ImageTagDoesNotMatchDigest"])
    layers = ecr.batch_check_layer_availability(**app, layerDigests=[parts[1]["digest"], digest(b"absent"), "x"])
    check("layers", [l["layerAvailability"] for l in layers["layers"]], ["AVAILABLE", "UNAVAILABLE"])
    check("no layers", [f["failureCode"] for f in layers["failures"]], ["InvalidLayerDigest"])
    url = ecr.get_download_url_for_layer(**app, layerDigest=parts[1]["digest"])["downloadUrl"]
    check("link", "/v2/team/app/blobs/sha256:" in url, True)
    gone = ecr.batch_delete_image(**app, imageIds=[{"imageTag": "v1"}, {"imageDigest": twos}, {"imageTag": "v9"}])
    check("gone", [i.get("imageTag") for i in gone["imageIds"]], ["v1", "v2"])
    check("not gone", [f["failureCode"] for f in gone["failures"]], ["ImageNotFound"])
    check("empty", ecr.list_images(**app)["imageIds"], [])
    ecr.delete_repository(**app)
    ecr.delete_repository(repositoryName="other", force=True)
    check("all gone", ecr.describe_repositories()["repositories"], [])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", default="http://127.0.0.1:4566")
    endpoint = parser.parse_args().endpoint
    account = f"{random.randrange(10**11, 10**12)}"
    ecr = client("ecr", endpoint, account)
    checker = Checker(ecr)
    repositories(ecr, account)
    settings(ecr)
    images(ecr)
    failures.extend(sorted(checker.unknown))
    for failure in failures:
        print(failure)
    print(f"{sum(checker.calls.values())} calls, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
