//! A request and an answer as plain data; the HTTP server and the tests both fill them in.

use bytes::Bytes;

/// One request with its whole body. The HTTP layer limits the body's size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// As it came, still percent-encoded, without the query string.
    pub path: String,
    /// As it came, still percent-encoded, without the `?`; empty when there is none.
    pub query: String,
    /// Names in lower case, in the order of arrival; a name may occur more than once.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The media type without its parameters, in lower case; empty when absent.
    pub fn media_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        let bare = value.split(';').next().unwrap_or_default();
        bare.trim().to_ascii_lowercase()
    }
}

/// The body of an answer, in pieces: what is kept from answer to answer is shared, not copied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body(Vec<Bytes>);

impl Body {
    pub fn of(mut pieces: Vec<Bytes>) -> Self {
        pieces.retain(|piece| !piece.is_empty());
        Self(pieces)
    }

    /// In bytes.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its pieces in order, none of them empty.
    pub fn into_pieces(self) -> Vec<Bytes> {
        self.0
    }

    pub fn to_vec(&self) -> Vec<u8> {
        self.0.concat()
    }
}

impl From<Vec<u8>> for Body {
    fn from(whole: Vec<u8>) -> Self {
        Self::of(vec![whole.into()])
    }
}

impl From<String> for Body {
    fn from(whole: String) -> Self {
        whole.into_bytes().into()
    }
}

impl From<&str> for Body {
    fn from(whole: &str) -> Self {
        whole.to_owned().into()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct HttpResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
}

impl HttpResponse {
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::default(),
        }
    }

    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn with_body(mut self, content_type: &str, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self.with_header("content-type", content_type)
    }

    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut named = headers.iter().filter(|(n, _)| n == name);
    named.next().map(|(_, value)| value.as_str())
}
