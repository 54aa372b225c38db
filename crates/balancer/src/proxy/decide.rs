//! What happens with a request: an answer of our own, or a target and the head it gets.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::SystemTime;

use super::forward::{self, Arrival};
use crate::access_log::Entry;
use crate::config::header::Changes;
use crate::config::{Action, FixedResponse, Forward, Protocol, ProtocolVersion, Stickiness};
use crate::count::bump;
use crate::http::answer::Answer;
use crate::http::body::Body;
use crate::http::desync::{Classification, Mitigation, Tier};
use crate::http::field::{Field, field};
use crate::http::mend::mend;
use crate::http::request::{self, Refused, Request};
use crate::http::target::host_name;
use crate::pick;
use crate::routing::{Location, Rewrites, Rewritten, Routes, Subject, expand};
use crate::sticky;
use crate::text::{push_escaped, push_number, push_quoted};
use crate::tls::Session;
use crate::worker::Core;
use crate::worker::group::{Group, InFlight, Target};
use crate::worker::node::{Front, Node};

/// A longer `User-Agent` is cut off in logs.
const AGENT_LIMIT: usize = 8 * 1024;

pub struct Context<'a> {
    pub core: &'a Core,
    pub node: &'a Node,
    pub front: &'a Front,
    pub routes: &'a Routes,
    pub changes: &'a Rc<Changes>,
    pub port: u16,
    pub peer: SocketAddr,
    /// When the request came.
    pub now: SystemTime,
    /// The connection's number.
    pub trace: u64,
    /// Of a connection over TLS.
    pub session: Option<&'a Rc<Session>>,
}

impl Context<'_> {
    fn is_http2(&self) -> bool {
        self.session.is_some_and(|session| session.is_http2)
    }

    pub fn protocol(&self) -> Protocol {
        match self.session {
            Some(_) => Protocol::Https,
            None => Protocol::Http,
        }
    }
}

pub struct Decision {
    /// Bytes of the head.
    pub length: usize,
    pub body: Body,
    pub minor: u8,
    pub keep_alive: bool,
    pub to_head_request: bool,
    pub expects_continue: bool,
    pub entry: Option<Box<Entry>>,
    /// Of the response's head.
    pub changes: Rc<Changes>,
    pub what: What,
}

pub enum What {
    Answer(Answer),
    Forward(Plan),
}

/// A request on its way to a target; its head is written.
pub struct Plan {
    pub target: InFlight,
    /// How the target is spoken to.
    pub protocol: Protocol,
    pub version: ProtocolVersion,
    /// Its head announces a chunked body.
    pub is_chunked: bool,
    /// The client asked for another protocol: a 101 answers it.
    pub upgrades: bool,
    /// Another parser might read another request: neither connection serves a second one.
    pub is_doubtful: bool,
    /// No body and an idempotent method: sending it twice does what sending it once does.
    pub is_repeatable: bool,
    pub changes: Rc<Changes>,
    /// `Set-Cookie` values for the response.
    pub cookies: Vec<String>,
    /// Values to set if the response sets the application's cookie.
    pub app_session: Option<(String, Vec<String>)>,
}

/// Decides on the head at the start of `input`; `None` if it is not complete. The head for the target
/// is appended to `out`.
pub fn decide(context: &Context<'_>, input: &[u8], out: &mut Vec<u8>) -> Option<Decision> {
    let mut fields = request::fields();
    match request::parse(input, &mut fields) {
        Ok(parsed) => Some(decide_on(context, parsed?, out)),
        Err(refused) => decide_on_mended(context, refused, input, out),
    }
}

/// The same of a head that the parser refused.
#[cold]
fn decide_on_mended(
    context: &Context<'_>,
    refused: Refused,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Option<Decision> {
    let refuse = |refused| Some(refuse(context, refused));
    let Ok(mended) = mend(input) else {
        return refuse(refused);
    };
    let length = mended.as_ref().map_or(input.len(), |mended| mended.length);
    if let Err(refused) = request::check_limits(&input[..length]) {
        return refuse(refused);
    }
    let mended = mended?;
    let mut fields = request::fields();
    let mut parsed = match request::parse(&mended.head, &mut fields) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => return refuse(refused),
        Err(refused) => return refuse(refused),
    };
    let Classification { tier, reason } = mended.classification;
    parsed.classification.note(tier, reason);
    Some(Decision {
        length: mended.length,
        ..decide_on(context, parsed, out)
    })
}

/// Decides on a request that is understood.
pub fn decide_on(context: &Context<'_>, parsed: Request<'_, '_>, out: &mut Vec<u8>) -> Decision {
    let mitigation = match parsed.classification.tier {
        Tier::Compliant => Mitigation::Route,
        _ => mitigate(context, parsed.classification),
    };
    let wants_entry = context.front.attributes.access_log.is_some();
    let mut entry = wants_entry.then(|| Box::new(describe(context, &parsed)));
    let mut what = match mitigation {
        Mitigation::Refuse => {
            context.node.counters.answered(400);
            What::Answer(Answer::page(400))
        }
        Mitigation::Route | Mitigation::RouteAndClose => {
            act(context, &parsed, entry.as_deref_mut(), out)
        }
    };
    if let (Mitigation::RouteAndClose, What::Forward(plan)) = (mitigation, &mut what) {
        plan.is_doubtful = true;
    }
    Decision {
        length: parsed.length,
        minor: parsed.minor,
        keep_alive: parsed.keeps_alive() && mitigation == Mitigation::Route,
        to_head_request: parsed.method == "HEAD",
        expects_continue: parsed.expects_continue,
        body: parsed.body,
        entry,
        changes: context.changes.clone(),
        what,
    }
}

/// What is done about a request that departs from HTTP.
#[cold]
fn mitigate(context: &Context<'_>, classification: Classification) -> Mitigation {
    bump(&context.node.counters.non_compliant);
    classification.mitigation(context.front.attributes.desync_mitigation_mode)
}

/// Finds the rule and does what it says.
fn act(
    context: &Context<'_>,
    request: &Request<'_, '_>,
    mut entry: Option<&mut Entry>,
    out: &mut Vec<u8>,
) -> What {
    let subject = Subject::of(request, context.peer.ip());
    let found = context.routes.find(&subject);
    let counters = &context.node.counters;
    let evaluated = counters.rule_evaluations.get() + found.evaluated;
    counters.rule_evaluations.set(evaluated);
    let trace_id = context.core.trace_id(context.now);
    if let Some(entry) = &mut entry {
        entry.trace_id = Some(trace_id);
        if request.trace_id.is_some() {
            forward::push_trace_id(&mut entry.trace, request, &trace_id);
        }
        entry.rule_priority = Some(found.priority);
        entry.actions = match **found.action {
            Action::Forward(_) => "forward",
            Action::Redirect(_) => "redirect",
            Action::FixedResponse(_) => "fixed-response",
        };
    }
    match &**found.action {
        Action::FixedResponse(fixed) => {
            bump(&counters.fixed_responses);
            What::Answer(fixed_response(fixed))
        }
        Action::Redirect(redirect) => {
            let from = Location {
                protocol: context.protocol(),
                host: request.host.unwrap_or(&context.front.dns_name),
                port: context.port,
                path: request.target.path,
                query: request.target.query(),
            };
            let location = expand(redirect, &from);
            let status = if location.is_some() {
                redirect.status
            } else {
                507
            };
            let counter = if location.is_some() {
                &counters.redirects
            } else {
                &counters.redirects_too_long
            };
            bump(counter);
            counters.answered(status);
            if let (Some(entry), Some(url)) = (entry, &location) {
                entry.redirect_url = url.clone();
            }
            What::Answer(Answer {
                location,
                ..Answer::page(status)
            })
        }
        Action::Forward(forward) => {
            let rewritten = match found.rewrites {
                Some(rewrites) => rewrite(request, rewrites, entry.as_deref_mut()),
                None => Ok(Rewritten::default()),
            };
            let planned = rewritten.and_then(|rewritten| {
                let new = New {
                    trace_id: &trace_id,
                    rewritten: &rewritten,
                };
                plan(context, request, forward, new, entry, out)
            });
            planned.map_or_else(
                |status| {
                    counters.answered(status);
                    What::Answer(Answer::page(status))
                },
                What::Forward,
            )
        }
    }
}

/// What targets see instead of what the client sent; 500 if that cannot be sent.
fn rewrite(
    request: &Request<'_, '_>,
    rewrites: &Rewrites,
    entry: Option<&mut Entry>,
) -> Result<Rewritten, u16> {
    let target = &request.target;
    let url = match target.query {
        Some(query) => format!("{}?{query}", target.path),
        None => target.path.to_owned(),
    };
    let rewritten = rewrites.apply(request.host.unwrap_or_default(), &url);
    if let Some(entry) = entry {
        match &rewritten {
            Ok(Rewritten {
                host: None,
                url: None,
            }) => {}
            Ok(Rewritten { host, url }) => {
                entry.actions = "rewrite,forward";
                entry.transformed_host = host.clone().unwrap_or_default();
                entry.transformed_uri = url.clone().unwrap_or_default();
                entry.transform_status = "TransformSuccess";
            }
            Err(failed) => entry.transform_status = failed.name(),
        }
    }
    rewritten.map_err(|_| 500)
}

fn fixed_response(fixed: &FixedResponse) -> Answer {
    // A 204 ends with its head; bytes after it would be taken for the next response.
    let body = if fixed.status == 204 {
        Vec::new()
    } else {
        fixed.body.clone().into_bytes()
    };
    let plain = || (!body.is_empty()).then(|| "text/plain".to_owned());
    let content_type = fixed.content_type.clone().or_else(plain);
    Answer {
        status: fixed.status,
        content_type,
        location: None,
        body,
    }
}

/// What of a request is ours.
#[derive(Clone, Copy)]
struct New<'a> {
    trace_id: &'a [u8],
    rewritten: &'a Rewritten,
}

/// Chooses group and target and writes the head; else the status to answer with.
fn plan(
    context: &Context<'_>,
    request: &Request<'_, '_>,
    forward: &Forward,
    new: New<'_>,
    mut entry: Option<&mut Entry>,
    out: &mut Vec<u8>,
) -> Result<Plan, u16> {
    let mut cookies = Vec::new();
    let group = choose_group(context, request, forward, &mut cookies).ok_or(503u16)?;
    if let Some(entry) = &mut entry {
        entry.target_group = Some(group.config.clone());
    }
    if !is_compatible(context, request, group.config.protocol_version) {
        return Err(464);
    }
    let arrival = Arrival {
        client: context.peer.ip(),
        client_port: context.peer.port(),
        listener_port: context.port,
        session: context.session.map(Rc::as_ref),
        dns_name: &context.front.dns_name,
        trace_id: new.trace_id,
        changes: context.changes,
        rewritten: new.rewritten,
    };
    let attributes = &context.front.attributes;
    let has_invalid = forward::write(out, request, &arrival, attributes).map_err(|_| 463u16)?;
    let (target, app_session) =
        choose_target(context, &group, request, &mut cookies).ok_or(503u16)?;
    if let Some(entry) = &mut entry {
        entry.target = Some(target.address);
        entry.is_websocket = request.is_websocket;
    }
    target.counters.requested();
    if has_invalid {
        let counters = &context.node.counters;
        bump(match attributes.drop_invalid_header_fields {
            true => &counters.dropped_invalid,
            false => &counters.forwarded_invalid,
        });
    }
    let is_idempotent = matches!(
        request.method,
        "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE"
    );
    Ok(Plan {
        target: target.begin(),
        protocol: group.config.protocol,
        version: group.config.protocol_version,
        is_chunked: matches!(request.body, Body::Chunked(_)),
        upgrades: request.upgrades,
        is_doubtful: false,
        is_repeatable: is_idempotent && request.body == Body::NONE,
        changes: context.changes.clone(),
        cookies,
        app_session,
    })
}

/// Whether the target group's protocol version can serve the request
/// (A/load-balancer-target-groups.html, 464).
fn is_compatible(
    context: &Context<'_>,
    request: &Request<'_, '_>,
    version: ProtocolVersion,
) -> bool {
    let content_type = || {
        let mut types = request.headers.iter();
        types.find(|header| header.name.eq_ignore_ascii_case("content-type"))
    };
    match version {
        ProtocolVersion::Http1 if !context.is_http2() => true,
        ProtocolVersion::Http1 => {
            !content_type().is_some_and(|kind| kind.value.starts_with(b"application/grpc"))
        }
        ProtocolVersion::Http2 => context.is_http2(),
        ProtocolVersion::Grpc => context.is_http2() && request.method == "POST",
    }
}

fn choose_group(
    context: &Context<'_>,
    request: &Request<'_, '_>,
    forward: &Forward,
    cookies: &mut Vec<String>,
) -> Option<Rc<Group>> {
    let now = context.now;
    if let [only] = forward.groups.as_slice() {
        return context.front.group(&only.target_group).cloned();
    }
    let stays = forward
        .stickiness
        .and_then(|_| session(request, sticky::GROUP_COOKIE, now));
    let stays = stays.filter(|(key, _)| {
        forward
            .groups
            .iter()
            .any(|group| group.target_group == *key)
    });
    let key = match &stays {
        Some((key, _)) => key,
        None => {
            let place = pick::weighted(
                forward.groups.iter().map(|group| group.weight),
                rand::random(),
            )?;
            &forward.groups[place].target_group
        }
    };
    if let Some(duration) = forward.stickiness {
        let value = sticky::encode(key, "", duration, now);
        cookies.extend(sticky::set_cookies(
            sticky::GROUP_COOKIE,
            &value,
            context.session.is_some(),
            now,
        ));
    }
    context.front.group(key).cloned()
}

type AppSession = (String, Vec<String>);

fn choose_target(
    context: &Context<'_>,
    group: &Group,
    request: &Request<'_, '_>,
    cookies: &mut Vec<String>,
) -> Option<(Rc<Target>, Option<AppSession>)> {
    let now = context.now;
    let of_this_group =
        |(key, target): (String, String)| (key == group.config.key).then_some(target);
    match &group.config.stickiness {
        None => Some((group.pick()?, None)),
        Some(Stickiness::LbCookie { duration }) => {
            let stays = session(request, sticky::LB_COOKIE, now).and_then(of_this_group);
            let target = keep_or_pick(context, group, stays)?;
            let value = sticky::encode(&group.config.key, &target.key, *duration, now);
            cookies.extend(sticky::set_cookies(
                sticky::LB_COOKIE,
                &value,
                context.session.is_some(),
                now,
            ));
            Some((target, None))
        }
        Some(Stickiness::AppCookie {
            cookie_name,
            duration,
        }) => {
            // Both cookies must come back, the application's and ours.
            let stays = find_cookie(request, cookie_name)
                .and_then(|_| find_cookie(request, "AWSALBAPP-0"))
                .and_then(|value| sticky::decode(value, now))
                .and_then(of_this_group);
            let target = keep_or_pick(context, group, stays)?;
            let value = sticky::encode(&group.config.key, &target.key, *duration, now);
            Some((
                target,
                Some((cookie_name.clone(), sticky::set_app_cookies(&value, now))),
            ))
        }
    }
}

/// The target of a session, or a new one.
fn keep_or_pick(context: &Context<'_>, group: &Group, stays: Option<String>) -> Option<Rc<Target>> {
    stays.and_then(|key| group.pick_sticky(&key)).or_else(|| {
        let new = group.pick();
        new.inspect(|_| bump(&context.node.counters.non_sticky))
    })
}

/// The session in a pair of cookies; the CORS one wins.
fn session(request: &Request<'_, '_>, name: &str, now: SystemTime) -> Option<(String, String)> {
    let value =
        find_cookie(request, &format!("{name}CORS")).or_else(|| find_cookie(request, name))?;
    sticky::decode(value, now)
}

fn find_cookie<'a>(request: &'a Request<'_, '_>, name: &str) -> Option<&'a str> {
    let headers = request
        .headers
        .iter()
        .filter(|header| field(header.name) == Field::Cookie);
    headers
        .filter_map(|header| sticky::cookie(header.value, name))
        .next()
}

/// As on AWS, what could not be understood counts for no bytes of a request.
pub fn refuse(context: &Context<'_>, refused: Refused) -> Decision {
    context.node.counters.answered(refused.status());
    if let Refused::Malformed(_) = refused {
        bump(&context.node.counters.non_compliant);
    }
    let entry = context.front.attributes.access_log.is_some().then(|| {
        let mut entry = new_entry(context);
        entry.set_no_request(&context.front.dns_name, context.port);
        if let Refused::Malformed(reason) = refused {
            entry.classification = Classification {
                tier: Tier::Severe,
                reason,
            };
        }
        Box::new(entry)
    });
    Decision {
        length: 0,
        body: Body::NONE,
        minor: 1,
        keep_alive: false,
        to_head_request: false,
        expects_continue: false,
        entry,
        changes: context.changes.clone(),
        what: What::Answer(Answer::page(refused.status())),
    }
}

fn new_entry(context: &Context<'_>) -> Entry {
    Entry::new(context.now, context.peer, context.trace, context.session)
}

fn describe(context: &Context<'_>, request: &Request<'_, '_>) -> Entry {
    let mut entry = new_entry(context);
    let host = host_name(request.host.unwrap_or(&context.front.dns_name));
    let agent = request.user_agent;
    let agent = &agent[..agent.len().min(AGENT_LIMIT)];
    let (path, query) = (request.target.path, request.target.query());
    let out = &mut entry.request;
    out.reserve(path.len() + query.len() + host.len() + agent.len() + 64);
    out.extend_from_slice(b" \"");
    push_escaped(out, request.method.as_bytes());
    out.extend_from_slice(match context.session {
        None => b" http://",
        Some(_) => b" https://",
    });
    push_escaped(out, host.as_bytes());
    out.push(b':');
    push_number(out, context.port.into());
    push_escaped(out, path.as_bytes());
    if request.target.query.is_some() {
        out.push(b'?');
        push_escaped(out, query.as_bytes());
    }
    out.extend_from_slice(match (context.is_http2(), request.minor) {
        (true, _) => b" HTTP/2.0\"",
        (false, 0) => b" HTTP/1.0\"",
        (false, _) => b" HTTP/1.1\"",
    });
    push_quoted(out, agent);
    entry.classification = request.classification;
    entry
}
