//! The counters of one worker: plain cells, since nobody else writes them. Once a second they are
//! taken away as deltas; the coordinator adds up the workers'.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::Histogram;
use crate::anomaly::Seen;
use crate::report::{NodeMetrics, TargetMetrics};

#[derive(Debug, Default)]
pub struct NodeCounters {
    /// Connections open now, to clients and to targets.
    open: Cell<u64>,
    opened: Cell<u64>,
    pub rejected: Cell<u64>,
    /// Handshakes with clients that came to nothing.
    pub tls_errors: Cell<u64>,
    pub processed_bytes: Cell<u64>,
    pub rule_evaluations: Cell<u64>,
    pub redirects: Cell<u64>,
    pub redirects_too_long: Cell<u64>,
    pub fixed_responses: Cell<u64>,
    /// Requests that depart from HTTP, whatever became of them.
    pub non_compliant: Cell<u64>,
    /// Requests with names of fields that AWS finds invalid, which went on without and with them.
    pub dropped_invalid: Cell<u64>,
    pub forwarded_invalid: Cell<u64>,
    /// Requests to groups with sessions that had none, or none that could go on.
    pub non_sticky: Cell<u64>,
    elb: [Cell<u64>; 7],
}

/// A connection that counts as active while this lives.
#[derive(Debug)]
pub struct Open(Rc<NodeCounters>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

#[derive(Debug, Default)]
pub struct TargetCounters {
    requests: Cell<u64>,
    connection_errors: Cell<u64>,
    tls_errors: Cell<u64>,
    by_class: [Cell<u64>; 4],
    response_time: RefCell<Histogram>,
    /// Since the target was last judged.
    seen: Cell<Seen>,
}

pub fn bump(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

impl NodeCounters {
    pub fn open(self: &Rc<Self>) -> Open {
        self.open.set(self.open.get() + 1);
        bump(&self.opened);
        Open(self.clone())
    }

    pub fn processed(&self, bytes: u64) {
        self.processed_bytes.set(self.processed_bytes.get() + bytes);
    }

    /// An answer the load balancer gave itself. Redirects count as 3XX, fixed responses not at all.
    pub fn answered(&self, status: u16) {
        match status / 100 {
            3 => bump(&self.elb[0]),
            4 => bump(&self.elb[1]),
            5 => bump(&self.elb[2]),
            _ => {}
        }
        match status {
            500 => bump(&self.elb[3]),
            502 => bump(&self.elb[4]),
            503 => bump(&self.elb[5]),
            504 => bump(&self.elb[6]),
            _ => {}
        }
    }

    /// What happened since the last call; names and groups are left for the caller.
    pub fn take(&self) -> NodeMetrics {
        let [
            elb_3xx,
            elb_4xx,
            elb_5xx,
            elb_500,
            elb_502,
            elb_503,
            elb_504,
        ] = [0, 1, 2, 3, 4, 5, 6].map(|at: usize| self.elb[at].take());
        NodeMetrics {
            active_connection_count: self.open.get(),
            new_connection_count: self.opened.take(),
            rejected_connection_count: self.rejected.take(),
            client_tls_negotiation_error_count: self.tls_errors.take(),
            processed_bytes: self.processed_bytes.take(),
            elb_3xx,
            elb_4xx,
            elb_5xx,
            elb_500,
            elb_502,
            elb_503,
            elb_504,
            http_redirect_count: self.redirects.take(),
            http_redirect_url_limit_exceeded_count: self.redirects_too_long.take(),
            http_fixed_response_count: self.fixed_responses.take(),
            rule_evaluations: self.rule_evaluations.take(),
            non_compliant_request_count: self.non_compliant.take(),
            dropped_invalid_header_request_count: self.dropped_invalid.take(),
            forwarded_invalid_header_request_count: self.forwarded_invalid.take(),
            non_sticky_request_count: self.non_sticky.take(),
            ..NodeMetrics::default()
        }
    }
}

impl TargetCounters {
    pub fn requested(&self) {
        bump(&self.requests);
        let seen = self.seen.get();
        self.seen.set(Seen {
            requests: seen.requests + 1,
            ..seen
        });
    }

    pub fn connection_failed(&self) {
        bump(&self.connection_errors);
        self.failed();
    }

    /// Connected, and then no handshake.
    pub fn tls_failed(&self) {
        bump(&self.tls_errors);
        self.failed();
    }

    fn failed(&self) {
        let seen = self.seen.get();
        self.seen.set(Seen {
            failures: seen.failures + 1,
            ..seen
        });
    }

    pub fn take_seen(&self) -> Seen {
        self.seen.take()
    }

    pub fn responded(&self, status: u16, after: Duration) {
        if status >= 500 {
            self.failed();
        }
        if let Some(class) = self.by_class.get(usize::from(status / 100).wrapping_sub(2)) {
            bump(class);
        }
        self.response_time
            .borrow_mut()
            .record(after.as_micros() as u64);
    }

    /// What happened since the last call; name, zone and running requests are left for the caller.
    pub fn take(&self) -> TargetMetrics {
        TargetMetrics {
            request_count: self.requests.take(),
            target_2xx: self.by_class[0].take(),
            target_3xx: self.by_class[1].take(),
            target_4xx: self.by_class[2].take(),
            target_5xx: self.by_class[3].take(),
            target_connection_error_count: self.connection_errors.take(),
            target_tls_negotiation_error_count: self.tls_errors.take(),
            response_time: self.response_time.take(),
            ..TargetMetrics::default()
        }
    }
}
