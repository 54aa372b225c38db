//! Describe calls: by ids, by filters, a page at a time.
//!
//! Answers are ordered by id. A page's token names the last id of the page
//! before, so paging neither repeats nor loses what was there throughout,
//! whatever is created and deleted meanwhile.

use super::error::{Result, error, invalid_parameter};
use super::filter::{Field, Filter, Filters};
use super::resource::{Resource, find_ref, owned};
use crate::Ctx;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which part of a list is wanted.
pub struct Page {
    after: Option<String>,
    limit: usize,
}

impl Page {
    /// `max_results` and `next_token` as given; EC2 takes 5 to 1000 in most calls.
    pub fn new(max_results: Option<i64>, next_token: Option<&str>) -> Result<Self> {
        Self::within(5, 1000, max_results, next_token)
    }

    pub fn within(
        least: i64,
        most: i64,
        max_results: Option<i64>,
        next_token: Option<&str>,
    ) -> Result<Self> {
        let limit = match max_results {
            None => usize::MAX,
            Some(n) if n < least => {
                let why = format!("Expecting a value greater than {least}.");
                return Err(invalid_parameter(n, "maxResults", &why));
            }
            // More than AWS's most is answered with the most.
            Some(n) => usize::try_from(n.min(most)).unwrap_or(usize::MAX),
        };
        let after = match next_token {
            None | Some("") => None,
            Some(token) => Some(decode(token)?),
        };
        Ok(Self { after, limit })
    }

    /// The page of `items`, which are in order of `key`, and the token of the next one.
    pub fn of<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        key: impl Fn(&T) -> String,
    ) -> (Vec<T>, Option<String>) {
        let mut rest = items.into_iter().filter(|item| match &self.after {
            Some(after) => key(item) > *after,
            None => true,
        });
        let page: Vec<T> = rest.by_ref().take(self.limit).collect();
        let more = rest.next().is_some();
        let token = match (more, page.last()) {
            (true, Some(last)) => Some(URL_SAFE_NO_PAD.encode(key(last))),
            _ => None,
        };
        (page, token)
    }
}

fn decode(token: &str) -> Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|b| String::from_utf8(b).ok())
        .ok_or_else(|| {
            error(
                "InvalidNextToken",
                format!("The token '{token}' is invalid"),
            )
        })
}

/// The caller's records of a Describe call: of `ids`, each of which must exist, or all; filtered.
pub fn describe<R: Resource>(
    ctx: &Ctx,
    ids: &[String],
    filters: &[Filter],
    fields: &[Field<R>],
    page: &Page,
) -> Result<(Vec<Arc<R>>, Option<String>)> {
    let filters = Filters::of_resource(filters, fields)?;
    let matches = |r: &&Arc<R>| filters.matches(&ctx.tx, r);
    let (found, next_token) = if !ids.is_empty() {
        let mut given = BTreeMap::new();
        for id in ids {
            let record = find_ref::<R>(ctx, id)?;
            given.insert(record.key(), record);
        }
        page.of(given.into_values().filter(matches), |r| r.key().to_string())
    } else if let Some(named) = filters.named(&ctx.tx) {
        let own = named.into_iter().filter(|r| *r.scope() == ctx.scope);
        page.of(own.filter(matches), |r| r.key().to_string())
    } else {
        let all = owned::<R>(&ctx.tx, &ctx.scope);
        page.of(all.filter(matches), |r| r.key().to_string())
    };
    Ok((found.into_iter().cloned().collect(), next_token))
}

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn pages_cover_everything_once() {
        let items: Vec<String> = (10..23).map(|n| n.to_string()).collect();
        let mut seen = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = Page::new(Some(5), token.as_deref()).unwrap();
            let (some, next) = page.of(items.clone(), Clone::clone);
            assert!(some.len() <= 5);
            seen.extend(some);
            token = next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(seen, items);
    }

    #[test]
    fn bad_pages_are_refused() {
        assert!(Page::new(Some(4), None).is_err());
        assert!(Page::new(Some(-1), None).is_err());
        assert!(Page::new(Some(5), Some("!")).is_err());
        assert!(Page::new(Some(100_000), Some("")).is_ok());
    }
}
