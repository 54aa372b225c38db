//! What listeners change about heads, from their attributes.

use ::balancer::config::header::Changes;
use model::elbv2::Listener;

const RESPONSE: &str = "routing.http.response.";
const REQUEST: &str = "routing.http.request.";

pub fn changes(listener: &Listener) -> Changes {
    let mut changes = Changes::default();
    for (key, value) in &listener.attributes {
        if let Some(name) = part(key, RESPONSE, ".header_value") {
            if !value.is_empty() {
                changes.response.push((field(name), value.clone()));
            }
        } else if let Some(name) = part(key, REQUEST, ".header_name") {
            changes
                .renamed
                .insert(field(name).to_ascii_lowercase(), value.clone());
        } else if key == "routing.http.response.server.enabled" {
            changes.hides_server = value == "false";
        }
    }
    changes
}

fn part<'a>(key: &'a str, prefix: &str, suffix: &str) -> Option<&'a str> {
    key.strip_prefix(prefix)?.strip_suffix(suffix)
}

/// `x_frame_options` is `X-Frame-Options`.
fn field(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    });
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_become_changes() {
        let attributes = [
            ("routing.http.response.server.enabled", "false"),
            ("routing.http.response.x_frame_options.header_value", "DENY"),
            (
                "routing.http.response.access_control_max_age.header_value",
                "",
            ),
            (
                "routing.http.request.x_amzn_tls_version.header_name",
                "X-Tls",
            ),
        ];
        let listener = Listener {
            arn: "l".into(),
            scope: model::Scope::new("000000000000", "us-east-1"),
            load_balancer: "b".into(),
            port: 443,
            protocol: "HTTPS".into(),
            ssl_policy: None,
            certificates: Vec::new(),
            mutual_tls_passthrough: false,
            trust: None,
            alpn_policy: None,
            default_actions: Vec::new(),
            attributes: attributes
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            tags: Default::default(),
        };
        let changes = changes(&listener);
        assert!(changes.hides_server);
        assert_eq!(
            changes.response,
            [("X-Frame-Options".into(), "DENY".into())]
        );
        assert_eq!(changes.name_of("X-Amzn-Tls-Version"), "X-Tls");
        assert_eq!(
            changes.name_of("X-Amzn-Tls-Cipher-Suite"),
            "X-Amzn-Tls-Cipher-Suite"
        );
    }
}
