//! Pages of Describe calls: `Marker`, `PageSize`, `NextMarker`.

use super::error::{Result, validation};
use crate::ec2::page::Page;

/// The page that a call asks for; `PageSize` is 1 to 400.
pub fn page(marker: Option<&str>, size: Option<i64>) -> Result<Page> {
    if let Some(size) = size {
        super::check::within(size, "pageSize", 1, 400)?;
    }
    Page::within(1, 400, size, marker).map_err(|_| validation("The marker is not valid"))
}
