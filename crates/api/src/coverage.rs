//! What is there: every call of every service and what becomes of each member.
//!
//! Read off the types that the actions take and off S3's routes, so it cannot
//! promise what no code reads. `docs/coverage.md` sets it beside AWS's models.

use serde::Serialize;
use wire::{Member, Members};

#[derive(Debug, Serialize)]
pub struct ServiceCoverage {
    /// In the scope of signatures.
    pub name: &'static str,
    pub version: &'static str,
    pub calls: Vec<CallCoverage>,
}

#[derive(Debug, Serialize)]
pub struct CallCoverage {
    /// `CreateVpc`; of S3, which has no names on the wire, `PUT /{Bucket}?acl`.
    pub name: String,
    pub members: Vec<Member>,
    /// Whatever comes is taken, to be refused in words.
    pub any: bool,
}

pub fn coverage() -> Vec<ServiceCoverage> {
    let call = |(name, input): (String, Members)| {
        let any = input == Members::Any;
        let members = match input {
            Members::Named(members) => members,
            Members::None | Members::Any => Vec::new(),
        };
        CallCoverage { name, members, any }
    };
    let mut all: Vec<ServiceCoverage> = crate::services()
        .into_iter()
        .map(|service| {
            let inputs = service
                .actions
                .iter()
                .map(|action| (action.name.to_owned(), (action.input)()));
            ServiceCoverage {
                name: service.name,
                version: service.version,
                calls: inputs.map(call).collect(),
            }
        })
        .collect();
    all.push(ServiceCoverage {
        name: "s3",
        version: "2006-03-01",
        calls: crate::s3::coverage().into_iter().map(call).collect(),
    });
    all
}
