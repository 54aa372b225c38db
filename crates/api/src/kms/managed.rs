//! Keys that AWS manages: one for each service in each account and region, made when it is first
//! asked for by its alias or a service needs it.
//!
//! <https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#aws-managed-key>.
//! Which services' aliases a fresh account lists is not documented; these are the ones that public
//! stacks look up.

use super::{Result, cipher, error};
use crate::Ctx;
use jiff::Timestamp;
use model::Scope;
use model::kms::{Key, KeyAlias};
use std::sync::Arc;
use store::{ScopedName, Tx};
use wire::ApiError;

/// The service, as its alias spells it and as keys' policies do, and what its key protects.
const SERVICES: &[(&str, &str, &str)] = &[
    ("acm", "acm", "ACM private keys"),
    ("dynamodb", "dynamodb", "DynamoDB data"),
    ("ebs", "ec2", "EBS volumes"),
    ("elasticfilesystem", "elasticfilesystem", "EFS filesystems"),
    ("kinesis", "kinesis", "Kinesis streams"),
    ("lambda", "lambda", "Lambda functions"),
    ("rds", "rds", "RDS database volumes"),
    ("s3", "s3", "S3 objects"),
    (
        "secretsmanager",
        "secretsmanager",
        "Secrets Manager secrets",
    ),
    ("sns", "sns", "SNS data"),
    ("sqs", "sqs", "SQS messages"),
    ("ssm", "ssm", "SSM parameters"),
];

pub(super) const PREFIX: &str = "alias/aws/";

/// The aliases there are in every account, whether or not their keys are made already.
pub(super) fn aliases() -> impl Iterator<Item = String> {
    SERVICES
        .iter()
        .map(|(alias, ..)| format!("{PREFIX}{alias}"))
}

/// Makes the key of `alias` if that is one of AWS's and has none yet.
pub(super) fn ensure(tx: &mut Tx, scope: &Scope, now: Timestamp, alias: &str) -> Result<()> {
    let service = alias.strip_prefix(PREFIX);
    let mut services = SERVICES.iter();
    let Some((_, service, protected)) = services.find(|(name, ..)| Some(*name) == service) else {
        return Ok(());
    };
    if tx.kms_aliases.contains_key(&ScopedName::new(scope, alias)) {
        return Ok(());
    }
    let id = uuid::Uuid::new_v4().to_string();
    tx.put(Key {
        id: id.clone(),
        scope: scope.clone(),
        description: format!(
            "Default key that protects my {protected} when no other key is defined"
        ),
        policy: policy(scope, service),
        secret: cipher::random_bytes(32)?,
        enabled: true,
        managed: true,
        deletion: None,
        // AWS rotates them every year.
        rotation: Some(365),
        created: now,
        tags: Default::default(),
    });
    tx.put(KeyAlias {
        scope: scope.clone(),
        name: alias.to_owned(),
        key: id,
        created: now,
        updated: now,
    });
    Ok(())
}

/// Whoever in the account may use the service may have it use the key.
fn policy(scope: &Scope, service: &str) -> String {
    let (account, region) = (&scope.account, &scope.region);
    serde_json::json!({
        "Version": "2012-10-17",
        "Id": format!("auto-{service}"),
        "Statement": [{
            "Sid": "Allow access through the service for all principals in the account",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*",
                       "kms:CreateGrant", "kms:DescribeKey"],
            "Resource": "*",
            "Condition": {"StringEquals": {
                "kms:CallerAccount": account.to_string(),
                "kms:ViaService": format!("{service}.{region}.amazonaws.com"),
            }},
        }, {
            "Sid": "Allow direct access to key metadata to the account",
            "Effect": "Allow",
            "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
            "Action": ["kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant"],
            "Resource": "*",
        }],
    })
    .to_string()
}

/// Refuses what only AWS does with its keys.
pub(super) fn check_own(key: &Key) -> Result<()> {
    match key.managed {
        true => Err(error(
            "AccessDeniedException",
            format!(
                "{} is managed by AWS: it can be described, and used through its service only.",
                key.arn()
            ),
        )),
        false => Ok(()),
    }
}

/// The ARN of the key that a volume is encrypted with: of `given`, or the one AWS manages for
/// volumes. A key that is not known here is named as it was given.
pub fn of_volume(
    tx: &mut Tx,
    scope: &Scope,
    now: Timestamp,
    given: Option<&str>,
) -> Result<String, ApiError> {
    let name = given.unwrap_or("alias/aws/ebs");
    let bare = name.strip_prefix(&scope.arn("kms", "")).unwrap_or(name);
    ensure(tx, scope, now, bare)?;
    let id = match tx.kms_aliases.get(&ScopedName::new(scope, bare)) {
        Some(alias) => alias.key.clone(),
        None => bare.strip_prefix("key/").unwrap_or(bare).to_owned(),
    };
    let key: Option<&Arc<Key>> = tx.kms_keys.get(&id);
    let key = key.filter(|key| key.scope == *scope);
    Ok(key.map_or_else(|| name.to_owned(), |key| key.arn()))
}

/// Makes the key that `id` names, if it is an alias of AWS's.
pub(super) fn ensure_named(ctx: &mut Ctx, id: &str) -> Result<()> {
    let arn = ctx.scope.arn("kms", "");
    let alias = id.strip_prefix(&arn).unwrap_or(id);
    ensure(&mut ctx.tx, &ctx.scope, ctx.now, alias)
}
