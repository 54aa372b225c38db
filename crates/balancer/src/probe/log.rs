//! Health check log lines in AWS's format, one per check (A/load-balancer-health-check-logs.html).
//!
//! There are few enough to write each as it comes, unlike those of requests.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::check::Spec;
use super::track::{Failure, Outcome};
use crate::access_log;
use crate::config::{Protocol, ProtocolVersion};
use crate::text::{push_address, push_number, push_time};

pub struct Line<'a> {
    pub at: Timestamp,
    pub took: Duration,
    /// `targetgroup/name/id`
    pub target_group: &'a str,
    pub spec: &'a Spec,
    pub outcome: &'a Outcome,
    /// That was answered.
    pub code: Option<u16>,
}

impl Line<'_> {
    /// To the node's file.
    pub fn append(&self, directory: &Path, node: &str) {
        let mut line = Vec::new();
        self.write(&mut line);
        if let Err(error) = access_log::append(directory, node, &line, true) {
            tracing::warn!(node, %error, "append to the log of health checks");
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let kind: &[u8] = match (self.spec.version, self.spec.protocol) {
            (ProtocolVersion::Http1, Protocol::Http) => b"http ",
            (ProtocolVersion::Http1, Protocol::Https) => b"https ",
            (ProtocolVersion::Http2, _) => b"h2 ",
            (ProtocolVersion::Grpc, _) => b"grpcs ",
        };
        out.extend_from_slice(kind);
        push_time(out, self.at);
        let latency = format!(" {}.{:09} ", self.took.as_secs(), self.took.subsec_nanos());
        out.extend_from_slice(latency.as_bytes());
        push_address(out, self.spec.address);
        out.push(b' ');
        let name = self.target_group.split('/').nth(1);
        out.extend_from_slice(name.unwrap_or(self.target_group).as_bytes());
        out.extend_from_slice(match self.outcome {
            Outcome::Pass => b" PASS ",
            Outcome::Fail(_) => b" FAIL ",
        });
        match self.code {
            Some(code) => push_number(out, code.into()),
            None => out.push(b'-'),
        }
        out.push(b' ');
        out.extend_from_slice(self.reason().as_bytes());
        out.push(b'\n');
    }

    fn reason(&self) -> &'static str {
        match self.outcome {
            Outcome::Pass => "-",
            Outcome::Fail(Failure::Mismatch(500..)) => "TargetError",
            Outcome::Fail(Failure::Mismatch(_)) => "ResponseCodeMismatch",
            Outcome::Fail(Failure::Timeout) => "TimedOut",
            Outcome::Fail(Failure::Broken(_)) => "ConnectionReset",
            Outcome::Fail(Failure::Internal(_)) => "InternalError",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::matcher::Matcher;

    #[test]
    fn lines() {
        let spec = Spec {
            source: [10, 0, 0, 1].into(),
            address: "10.0.1.5:80".parse().unwrap(),
            protocol: Protocol::Http,
            version: ProtocolVersion::Http1,
            path: "/".into(),
            timeout: Duration::ZERO,
            matcher: Matcher::default(),
            is_tcp: false,
            proxy_protocol: false,
        };
        let check = |outcome, code, expected: &str| {
            let line = Line {
                at: "2026-01-02T03:04:05.678901Z".parse().unwrap(),
                took: Duration::from_nanos(1_019_584_011),
                target_group: "targetgroup/web/1",
                spec: &spec,
                outcome: &outcome,
                code,
            };
            let mut out = Vec::new();
            line.write(&mut out);
            let common = "http 2026-01-02T03:04:05.678901Z 1.019584011 10.0.1.5:80 web";
            assert_eq!(
                String::from_utf8(out).unwrap(),
                format!("{common} {expected}\n")
            );
        };
        check(Outcome::Pass, Some(200), "PASS 200 -");
        let mismatch = |code| Outcome::Fail(Failure::Mismatch(code));
        check(mismatch(404), Some(404), "FAIL 404 ResponseCodeMismatch");
        check(mismatch(502), Some(502), "FAIL 502 TargetError");
        check(Outcome::Fail(Failure::Timeout), None, "FAIL - TimedOut");
        let broken = Failure::Broken("connect: refused".into());
        check(Outcome::Fail(broken), None, "FAIL - ConnectionReset");
    }
}
