//! AWS's actions: shapes and functions, one file a resource.
//!
//! A service is a list of `action("CreateVpc", vpc::create)` lines; dispatch,
//! the coverage table and the docs come from that one list. Nothing here knows
//! HTTP, processes or netlink.

pub mod acm;
pub mod autoscaling;
mod certificate;
mod check;
pub mod cloudwatch;
mod context;
mod coverage;
pub mod ec2;
pub mod ecr;
pub mod elbv2;
pub mod iam;
pub mod instance_connect;
pub mod kms;
pub mod logs;
pub mod route53;
pub mod s3;
pub mod service_quotas;
pub mod sns;
pub mod sqs;
pub mod ssm;
pub mod sts;
mod subnet_group;
#[cfg(test)]
mod testing;
pub mod zonal_shift;

pub use context::{Cloud, Ctx};
pub use coverage::{CallCoverage, ServiceCoverage, coverage};

/// Every service, the list that dispatch and coverage work from. S3 binds its calls by path instead.
pub fn services() -> Vec<wire::Service<Ctx>> {
    vec![
        ec2::service(),
        elbv2::service(),
        autoscaling::service(),
        cloudwatch::service(),
        iam::service(),
        sts::service(),
        ssm::service(),
        acm::service(),
        logs::service(),
        kms::service(),
        route53::service(),
        sns::service(),
        sqs::service(),
        ecr::service(),
        service_quotas::service(),
        subnet_group::rds(),
        subnet_group::elasticache(),
        subnet_group::redshift(),
        zonal_shift::service(),
        instance_connect::service(),
    ]
}
