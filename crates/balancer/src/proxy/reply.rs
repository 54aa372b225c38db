//! The head a client gets for a target's response.

use super::forward::push_field;
use crate::config::header::Changes;
use crate::http::body::{Body, Keep};
use crate::http::field::{Field, field, named_by_connection};
use crate::http::response::Response;
use crate::text::push_number;

/// How the body reaches the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// As the target framed it.
    AsIs,
    /// The data of a chunked body, ended by closing: the client speaks HTTP/1.0.
    Unchunked,
    /// A body ended by the target's closing, cut into chunks so that the client's connection stays.
    Chunked,
}

impl Delivery {
    pub fn of(response: &Response<'_, '_>, client_minor: u8) -> Delivery {
        match response.body {
            Body::Chunked(_) if client_minor == 0 => Delivery::Unchunked,
            Body::UntilClose if client_minor >= 1 => Delivery::Chunked,
            _ => Delivery::AsIs,
        }
    }

    pub fn keep(self) -> Keep {
        if self == Delivery::Unchunked {
            Keep::Data
        } else {
            Keep::Framing
        }
    }

    /// The client sees the end only by its connection closing.
    pub fn ends_by_closing(self, body: &Body) -> bool {
        self == Delivery::Unchunked || (self == Delivery::AsIs && *body == Body::UntilClose)
    }
}

/// Appends the head. `cookies` are `Set-Cookie` values of ours.
pub fn write(
    out: &mut Vec<u8>,
    response: &Response<'_, '_>,
    client_minor: u8,
    keep_alive: bool,
    cookies: &[String],
    changes: &Changes,
) {
    let delivery = Delivery::of(response, client_minor);
    out.extend_from_slice(b"HTTP/1.1 ");
    push_number(out, response.status.into());
    out.push(b' ');
    out.extend_from_slice(response.reason.as_bytes());
    out.extend_from_slice(b"\r\n");
    let may_have_framing = !matches!(response.status, 100..200 | 204);
    let is_chunked = response.is_chunked && client_minor >= 1 || delivery == Delivery::Chunked;
    if may_have_framing && is_chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    } else if let Some(length) = response.declared.filter(|_| may_have_framing) {
        out.extend_from_slice(b"Content-Length: ");
        push_number(out, length);
        out.extend_from_slice(b"\r\n");
    }
    if response.status == 101 {
        out.extend_from_slice(b"Connection: Upgrade\r\n");
    } else if keep_alive {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    } else {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    for cookie in cookies {
        push_field(out, "Set-Cookie", cookie.as_bytes());
    }
    for header in response.headers {
        let is_cargo = match field(header.name) {
            Field::Connection
            | Field::ContentLength
            | Field::TransferEncoding
            | Field::HopByHop => false,
            Field::Upgrade => response.status == 101,
            _ => {
                (!response.connection.names_fields
                    || !named_by_connection(response.headers, header.name))
                    && !changes.drops(header.name)
            }
        };
        if is_cargo {
            push_field(out, header.name, header.value);
        }
    }
    for (name, value) in &changes.response {
        push_field(out, name, value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::fields;
    use crate::http::response::parse;

    #[test]
    fn heads() {
        fn check(head: &str, client_minor: u8, keep_alive: bool, expected: &str) {
            let mut room = fields();
            let response = parse(head.as_bytes(), &mut room, false).unwrap().unwrap();
            let mut out = Vec::new();
            let changes = Changes::default();
            write(&mut out, &response, client_minor, keep_alive, &[], &changes);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        check(
            "HTTP/1.0 200 Fine\r\nContent-Length: 3\r\nServer: x\r\nKeep-Alive: 5\r\nConnection: close, X-A\r\nX-A: 1\r\n\r\n",
            1,
            true,
            "HTTP/1.1 200 Fine\r\nContent-Length: 3\r\nConnection: keep-alive\r\nServer: x\r\n\r\n",
        );
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(
            chunked,
            1,
            true,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n",
        );
        check(
            chunked,
            0,
            false,
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        );
        let endless = "HTTP/1.1 200 OK\r\n\r\n";
        check(
            endless,
            1,
            true,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n",
        );
        check(
            endless,
            0,
            false,
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        );
        check(
            "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            1,
            true,
            "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        check(
            "HTTP/1.1 204 N\r\nContent-Length: 0\r\n\r\n",
            1,
            true,
            "HTTP/1.1 204 N\r\nConnection: keep-alive\r\n\r\n",
        );
    }
}
