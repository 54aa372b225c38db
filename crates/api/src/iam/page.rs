//! IAM's paging: `MaxItems` and `Marker`, over items in order of their names.

use super::error::{Result, invalid};

/// AWS's default and greatest page.
const DEFAULT: usize = 100;
const MOST: usize = 1000;

/// A page of `items`, which are in order of `key`, and the marker of the next one.
pub fn of<T>(
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> String,
    max_items: Option<i64>,
    marker: Option<&str>,
) -> Result<(Vec<T>, Option<String>)> {
    let limit = match max_items {
        None => DEFAULT,
        Some(n) if n < 1 => {
            return Err(invalid(format!(
                "1 validation error detected: Value '{n}' at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1"
            )));
        }
        Some(n) => usize::try_from(n).unwrap_or(MOST).min(MOST),
    };
    let mut rest = items.into_iter().filter(|item| match marker {
        Some(marker) => key(item).as_str() > marker,
        None => true,
    });
    let page: Vec<T> = rest.by_ref().take(limit).collect();
    let more = rest.next().is_some();
    let marker = page.last().filter(|_| more).map(key);
    Ok((page, marker))
}
