//! What a listener changes about heads: response fields it sets or leaves out, request fields of its
//! own that go by another name (listener attributes `routing.http.*`, A/header-modification.html).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// Name and value, on every response, also on answers of the load balancer's own. A target's
    /// field of the same name goes.
    pub response: Vec<(String, String)>,
    /// No response says `Server`, neither ours nor a target's.
    pub hides_server: bool,
    /// Names for the fields about TLS that targets get, by the usual name in lower case.
    pub renamed: BTreeMap<String, String>,
}

impl Changes {
    /// Whether a response's field does not reach the client.
    pub fn drops(&self, name: &str) -> bool {
        self.hides_server && name.eq_ignore_ascii_case("server")
            || self
                .response
                .iter()
                .any(|(ours, _)| ours.eq_ignore_ascii_case(name))
    }

    /// What the field is called on this listener.
    pub fn name_of<'a>(&'a self, usual: &'a str) -> &'a str {
        if self.renamed.is_empty() {
            return usual;
        }
        let renamed = self.renamed.get(&usual.to_ascii_lowercase());
        renamed.map_or(usual, String::as_str)
    }

    /// Whether a client's field has a name that only the load balancer may use.
    pub fn claims(&self, name: &str) -> bool {
        self.renamed
            .values()
            .any(|ours| ours.eq_ignore_ascii_case(name))
    }
}
