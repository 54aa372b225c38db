//! Pages and filters of Describe calls: `MaxRecords`, `NextToken`, `Filters`.

use super::check;
use super::error::{Result, error};
use crate::ec2::page::Page;
use serde::Deserialize;

/// `MaxRecords` is 1 to 100; `default` where it is absent.
pub fn page(records: Option<i64>, token: Option<&str>, default: u32) -> Result<Page> {
    let records = match records {
        None => default,
        Some(given) => check::within(given, "maxRecords", 1, 100)?,
    };
    Page::within(1, 100, Some(records.into()), token)
        .map_err(|_| error("InvalidNextToken", "The token is not valid."))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Filter {
    pub name: String,
    #[serde(default)]
    pub values: Vec<String>,
}

impl Filter {
    pub fn admits(&self, value: &str) -> bool {
        self.values.iter().any(|v| v == value)
    }
}

pub fn unknown_filter(name: &str) -> wire::ApiError {
    super::error::validation(format!("Filter type {name} is not correct."))
}
