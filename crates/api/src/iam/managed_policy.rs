//! AWS's own policies, as far as stacks of this kind attach them.
//!
//! Computed from a table of the actions that each allows. Nothing evaluates
//! them; they exist so that they can be attached, described and read. Documents
//! that on AWS have conditions or several statements are told in short.

use model::Tags;
use model::iam::Policy;
use model::{Scope, Timestamp};

/// Path, name, and what it allows on every resource.
type Managed = (&'static str, &'static str, &'static [&'static str]);

const POLICIES: &[Managed] = &[
    ("/", "AdministratorAccess", &["*"]),
    ("/", "AmazonDynamoDBFullAccess", &["dynamodb:*"]),
    (
        "/",
        "AmazonEC2ContainerRegistryReadOnly",
        &[
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:DescribeImages",
            "ecr:DescribeRepositories",
            "ecr:GetAuthorizationToken",
            "ecr:GetDownloadUrlForLayer",
            "ecr:GetRepositoryPolicy",
            "ecr:ListImages",
        ],
    ),
    (
        "/",
        "AmazonEC2FullAccess",
        &[
            "ec2:*",
            "elasticloadbalancing:*",
            "cloudwatch:*",
            "autoscaling:*",
        ],
    ),
    (
        "/",
        "AmazonEC2ReadOnlyAccess",
        &[
            "ec2:Describe*",
            "elasticloadbalancing:Describe*",
            "cloudwatch:ListMetrics",
            "cloudwatch:GetMetricStatistics",
            "cloudwatch:Describe*",
            "autoscaling:Describe*",
        ],
    ),
    ("/", "AmazonRDSFullAccess", &["rds:*"]),
    (
        "/",
        "AmazonRDSReadOnlyAccess",
        &["rds:Describe*", "rds:ListTagsForResource"],
    ),
    ("/", "AmazonS3FullAccess", &["s3:*", "s3-object-lambda:*"]),
    (
        "/",
        "AmazonS3ReadOnlyAccess",
        &["s3:Get*", "s3:List*", "s3:Describe*"],
    ),
    ("/", "AmazonSSMFullAccess", &["ssm:*"]),
    (
        "/",
        "AmazonSSMManagedInstanceCore",
        &[
            "ssm:DescribeAssociation",
            "ssm:GetDeployablePatchSnapshotForInstance",
            "ssm:GetDocument",
            "ssm:DescribeDocument",
            "ssm:GetManifest",
            "ssm:GetParameter",
            "ssm:GetParameters",
            "ssm:ListAssociations",
            "ssm:ListInstanceAssociations",
            "ssm:PutInventory",
            "ssm:PutComplianceItems",
            "ssm:PutConfigurePackageResult",
            "ssm:UpdateAssociationStatus",
            "ssm:UpdateInstanceAssociationStatus",
            "ssm:UpdateInstanceInformation",
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
            "ec2messages:AcknowledgeMessage",
            "ec2messages:DeleteMessage",
            "ec2messages:FailMessage",
            "ec2messages:GetEndpoint",
            "ec2messages:GetMessages",
            "ec2messages:SendReply",
        ],
    ),
    (
        "/",
        "AmazonSSMPatchAssociation",
        &[
            "ssm:DescribeEffectivePatchesForPatchBaseline",
            "ssm:GetPatchBaseline",
            "tag:GetResources",
            "tag:GetTagValues",
        ],
    ),
    (
        "/",
        "AmazonSSMReadOnlyAccess",
        &["ssm:Describe*", "ssm:Get*", "ssm:List*"],
    ),
    (
        "/",
        "AutoScalingFullAccess",
        &[
            "autoscaling:*",
            "cloudwatch:PutMetricAlarm",
            "ec2:Describe*",
            "elasticloadbalancing:Describe*",
        ],
    ),
    ("/", "AutoScalingReadOnlyAccess", &["autoscaling:Describe*"]),
    (
        "/",
        "CloudWatchAgentServerPolicy",
        &[
            "cloudwatch:PutMetricData",
            "ec2:DescribeVolumes",
            "ec2:DescribeTags",
            "logs:PutLogEvents",
            "logs:PutRetentionPolicy",
            "logs:DescribeLogStreams",
            "logs:DescribeLogGroups",
            "logs:CreateLogStream",
            "logs:CreateLogGroup",
            "ssm:GetParameter",
        ],
    ),
    (
        "/",
        "CloudWatchFullAccess",
        &["autoscaling:Describe*", "cloudwatch:*", "logs:*", "sns:*"],
    ),
    (
        "/",
        "CloudWatchLogsFullAccess",
        &["logs:*", "cloudwatch:GenerateQuery"],
    ),
    (
        "/",
        "CloudWatchReadOnlyAccess",
        &[
            "cloudwatch:Describe*",
            "cloudwatch:Get*",
            "cloudwatch:List*",
            "logs:Get*",
            "logs:List*",
            "logs:Describe*",
        ],
    ),
    (
        "/",
        "ElasticLoadBalancingFullAccess",
        &["elasticloadbalancing:*", "ec2:Describe*"],
    ),
    (
        "/",
        "ElasticLoadBalancingReadOnly",
        &["elasticloadbalancing:Describe*"],
    ),
    ("/", "IAMFullAccess", &["iam:*"]),
    ("/", "IAMReadOnlyAccess", &["iam:Get*", "iam:List*"]),
    ("/", "PowerUserAccess", &["*"]),
    ("/", "ReadOnlyAccess", &["*:Describe*", "*:Get*", "*:List*"]),
    ("/", "SecretsManagerReadWrite", &["secretsmanager:*"]),
    (
        "/service-role/",
        "AmazonEC2RoleforSSM",
        &[
            "ssm:*",
            "ssmmessages:*",
            "ec2messages:*",
            "cloudwatch:PutMetricData",
            "logs:*",
        ],
    ),
    (
        "/service-role/",
        "AmazonEC2SpotFleetTaggingRole",
        &[
            "ec2:RequestSpotInstances",
            "ec2:TerminateInstances",
            "ec2:CreateTags",
            "ec2:RunInstances",
        ],
    ),
    (
        "/service-role/",
        "AutoScalingNotificationAccessRole",
        &["sqs:SendMessage", "sqs:GetQueueUrl", "sns:Publish"],
    ),
    (
        "/service-role/",
        "VPCFlowLogsDeliveryRolePolicy",
        &[
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "logs:DescribeLogGroups",
            "logs:DescribeLogStreams",
        ],
    ),
];

/// Owner of ARNs such as `arn:aws:iam::aws:policy/AdministratorAccess`.
const OWNER: &str = "aws";

pub fn find(arn: &str) -> Option<Policy> {
    let wanted = |(path, name, _): &&Managed| arn == self::arn(path, name);
    POLICIES.iter().find(wanted).map(policy)
}

pub fn all() -> impl Iterator<Item = Policy> {
    POLICIES.iter().map(policy)
}

fn arn(path: &str, name: &str) -> String {
    format!("arn:aws:iam::{OWNER}:policy{path}{name}")
}

fn policy((path, name, actions): &Managed) -> Policy {
    let document = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}],
    });
    Policy {
        arn: arn(path, name),
        scope: Scope::new(OWNER, "aws-global"),
        name: (*name).to_owned(),
        id: id(name),
        path: (*path).to_owned(),
        description: Some(format!("AWS's policy {name}, in short.")),
        versions: vec![("v1".to_owned(), document.to_string(), created())],
        default_version: "v1".to_owned(),
        created: created(),
        tags: Tags::new(),
    }
}

/// When AWS made its first managed policies.
fn created() -> Timestamp {
    Timestamp::from_second(1_423_180_800).unwrap_or_default()
}

/// `ANPA` and letters that depend on the name only.
fn id(name: &str) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("ANPA0{hash:016X}")
}
