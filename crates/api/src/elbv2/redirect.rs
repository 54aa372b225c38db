//! The redirect action. Source: `A/rule-action-types.html#redirect-actions`.

use super::action::invalid;
use super::check::{length, one_of};
use super::error::Result;
use model::elbv2::Action;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RedirectConfig {
    protocol: Option<String>,
    port: Option<String>,
    host: Option<String>,
    path: Option<String>,
    query: Option<String>,
    status_code: String,
}

impl RedirectConfig {
    pub fn parse(&self, order: Option<u32>) -> Result<Action> {
        one_of(
            &self.status_code,
            "redirectConfig.statusCode",
            &["HTTP_301", "HTTP_302"],
        )?;
        let or = |given: &Option<String>, default: &str| given.clone().unwrap_or(default.into());
        let protocol = or(&self.protocol, "#{protocol}");
        let port = or(&self.port, "#{port}");
        let host = or(&self.host, "#{host}");
        let path = or(&self.path, "/#{path}");
        let query = or(&self.query, "#{query}");
        one_of(
            &protocol,
            "redirectConfig.protocol",
            &["HTTP", "HTTPS", "#{protocol}"],
        )?;
        let number = port
            .parse::<u16>()
            .is_ok_and(|n| 0 < n && !port.starts_with('+'));
        if port != "#{port}" && !number {
            return Err(invalid(format!("The redirect port '{port}' is not valid")));
        }
        length(&host, "redirectConfig.host", 1, 128)?;
        length(&path, "redirectConfig.path", 1, 128)?;
        length(&query, "redirectConfig.query", 0, 128)?;
        if !path.starts_with('/') {
            return Err(invalid("The redirect path must start with '/'"));
        }
        if query.starts_with('?') {
            return Err(invalid("The redirect query must not start with '?'"));
        }
        placeholders(&host, "host", &["host"])?;
        placeholders(&path, "path", &["host", "path", "port"])?;
        placeholders(
            &query,
            "query",
            &["protocol", "host", "port", "path", "query"],
        )?;
        let kept = ["#{protocol}", "#{port}", "#{host}", "/#{path}"];
        if [&protocol, &port, &host, &path].map(String::as_str) == kept {
            return Err(invalid(
                "The redirect configuration is not valid because it creates a loop.",
            ));
        }
        Ok(Action::Redirect {
            order,
            protocol,
            host,
            port,
            path,
            query,
            status: if self.status_code == "HTTP_301" {
                301
            } else {
                302
            },
        })
    }

    pub fn of(action: &Action) -> Option<Self> {
        match action {
            Action::Redirect {
                protocol,
                host,
                port,
                path,
                query,
                status,
                ..
            } => Some(Self {
                protocol: Some(protocol.clone()),
                port: Some(port.clone()),
                host: Some(host.clone()),
                path: Some(path.clone()),
                query: Some(query.clone()),
                status_code: format!("HTTP_{status}"),
            }),
            Action::Forward { .. } | Action::FixedResponse { .. } => None,
        }
    }
}

/// Checks that a component uses only the placeholders that it may.
fn placeholders(text: &str, component: &str, allowed: &[&str]) -> Result<()> {
    for part in text.split("#{").skip(1) {
        let name = part.split_once('}').map(|(name, _)| name);
        if name.is_none_or(|name| !allowed.contains(&name)) {
            return Err(invalid(format!(
                "The redirect {component} '{text}' contains a placeholder that is not valid there"
            )));
        }
    }
    Ok(())
}
