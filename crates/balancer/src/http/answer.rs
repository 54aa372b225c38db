//! Answers the load balancer gives itself: errors, redirects, fixed responses.
//!
//! Form and bodies are those seen from AWS: `Server: awselb/2.0`, a small HTML page with CRLF lines.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::config::header::Changes;

/// A whole answer, still without head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: Option<String>,
    pub location: Option<String>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The page for an error or a redirect; AWS has none for codes of its own, 460 to 464.
    pub fn page(status: u16) -> Answer {
        match page_title(status) {
            "" => Answer {
                status,
                content_type: None,
                location: None,
                body: Vec::new(),
            },
            title => Answer::titled(status, &format!("{status} {title}")),
        }
    }

    /// A page that says something else than its status.
    pub fn titled(status: u16, title: &str) -> Answer {
        let body = format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
             </body>\r\n</html>\r\n"
        );
        Answer {
            status,
            content_type: Some("text/html".into()),
            location: None,
            body: body.into_bytes(),
        }
    }

    /// Appends head and, unless it answers a HEAD request, body.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        date: &str,
        keep_alive: bool,
        to_head_request: bool,
        changes: &Changes,
    ) {
        let title = page_title(self.status);
        let mut head = format!("HTTP/1.1 {} {title}\r\n", self.status);
        if !changes.hides_server {
            head.push_str("Server: awselb/2.0\r\n");
        }
        let _ = write!(head, "Date: {date}\r\n");
        if let Some(content_type) = &self.content_type {
            let _ = write!(head, "Content-Type: {content_type}\r\n");
        }
        let connection = if keep_alive { "keep-alive" } else { "close" };
        let _ = write!(
            head,
            "Content-Length: {}\r\nConnection: {connection}\r\n",
            self.body.len()
        );
        if self.status == 405 {
            head.push_str("Allow: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS\r\n");
        }
        if let Some(location) = &self.location {
            let _ = write!(head, "Location: {location}\r\n");
        }
        for (name, value) in &changes.response {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        out.extend_from_slice(head.as_bytes());
        if !to_head_request {
            out.extend_from_slice(&self.body);
        }
    }
}

/// The reason phrase, as in the status lines and titles AWS sends.
pub fn page_title(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Time-out",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Entity",
        423 => "Locked",
        424 => "Failed Dependency",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

/// A moment as the `Date` field wants it.
pub fn http_date(at: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let seconds = at
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let day = DAYS[(seconds / 86_400 % 7) as usize];
    let date = jiff::Timestamp::from_second(seconds as i64).unwrap_or_default();
    format!("{day}, {} GMT", date.strftime("%d %b %Y %H:%M:%S"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn pages_have_the_lengths_seen_from_aws() {
        fn check(status: u16, length: usize) {
            assert_eq!(Answer::page(status).body.len(), length, "{status}");
        }
        check(301, 134);
        check(502, 122);
        check(503, 162);
        check(504, 132);
        check(463, 0);
        check(464, 0);
    }

    #[test]
    fn whole_answers() {
        let mut out = Vec::new();
        let answer = Answer {
            location: Some("https://h:443/".into()),
            body: b"hi".to_vec(),
            ..Answer::page(301)
        };
        answer.write(&mut out, "D", true, false, &Changes::default());
        let expected = "HTTP/1.1 301 Moved Permanently\r\nServer: awselb/2.0\r\nDate: D\r\nContent-Type: text/html\r\n\
                        Content-Length: 2\r\nConnection: keep-alive\r\nLocation: https://h:443/\r\n\r\nhi";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn dates() {
        let at = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(http_date(at), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
