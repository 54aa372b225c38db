//! Whether a load balancer may deliver its logs to a bucket.
//! Source: `A/enable-access-logging.html`.

use super::error::{Result, invalid_configuration};
use crate::Ctx;
use crate::s3::policy;
use model::Scope;
use model::elbv2::LoadBalancer;

/// In whose name logs are delivered: today's service principal, and in the regions that are older
/// an account of AWS's own, which policies still name.
const SERVICE: &str = "logdelivery.elasticloadbalancing.amazonaws.com";
const NETWORK_SERVICE: &str = "delivery.logs.amazonaws.com";
const ACCOUNTS: &[(&str, &str)] = &[
    ("us-east-1", "127311923021"),
    ("us-east-2", "033677994240"),
    ("us-west-1", "027434742980"),
    ("us-west-2", "797873946194"),
    ("ca-central-1", "985666609251"),
    ("eu-central-1", "054676820928"),
    ("eu-west-1", "156460612806"),
    ("eu-west-2", "652711504416"),
    ("eu-west-3", "009996457667"),
    ("eu-north-1", "897822967062"),
    ("ap-south-1", "718504428378"),
    ("ap-southeast-1", "114774131450"),
    ("ap-southeast-2", "783225319266"),
    ("ap-northeast-1", "582318560864"),
    ("sa-east-1", "507241528517"),
];

/// The bucket must be there, in the load balancer's region, and its policy must let logs in.
pub fn check(ctx: &Ctx, balancer: &LoadBalancer, bucket: &str, prefix: &str) -> Result<()> {
    let denied = || {
        invalid_configuration(format!(
            "Access Denied for bucket: {bucket}. Please check S3bucket permission"
        ))
    };
    if prefix.contains("AWSLogs") || prefix.starts_with('/') || prefix.ends_with('/') {
        return Err(invalid_configuration(
            "The S3 prefix cannot begin or end with '/' and cannot contain 'AWSLogs'",
        ));
    }
    let found = ctx.tx.buckets.get(bucket).ok_or_else(denied)?;
    let region = &*balancer.scope.region;
    if *found.scope.region != *region {
        return Err(invalid_configuration(format!(
            "The S3 bucket '{bucket}' must be in the region '{region}' of the load balancer"
        )));
    }
    let text = found.configuration.get("policy").ok_or_else(denied)?;
    let directory = if prefix.is_empty() {
        String::new()
    } else {
        format!("{prefix}/")
    };
    let resource = format!(
        "arn:aws:s3:::{bucket}/{directory}AWSLogs/{}/elasticloadbalancing/{region}/x.log.gz",
        balancer.scope.account
    );
    let account = ACCOUNTS.iter().find(|(name, _)| *name == region);
    let account = account.map(|(_, account)| Scope::new(account, region));
    let services = match balancer.is_network() {
        true => [NETWORK_SERVICE, SERVICE],
        false => [SERVICE, SERVICE],
    };
    let action = "s3:PutObject";
    let let_in = policy::allows(text, account.as_ref(), action, &resource)
        || services
            .iter()
            .any(|service| policy::allows_service(text, service, action, &resource));
    if let_in { Ok(()) } else { Err(denied()) }
}
