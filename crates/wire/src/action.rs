//! An action: a name tied to a typed function, in three separate steps.
//!
//! Decoding needs no state, running needs the transaction, encoding must come
//! after the commit; so each step hands an opaque value to the next and the
//! caller decides what it holds in between.

use crate::error::ApiError;
use crate::form::Pairs;
use crate::members::{self, Members};
use crate::query::Lists;
use crate::rejection::Rejection;
use crate::rest::Route;
use crate::tree::{self, Tree};
use crate::{cbor, json, query, xml};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub struct Action<Ctx: ?Sized> {
    pub name: &'static str,
    /// Describe, Get, List, …: it may run on a snapshot, beside a writer.
    pub read_only: bool,
    /// Of a service that speaks REST.
    pub route: Option<Route>,
    /// What the input accepts, worked out when asked for.
    pub input: fn() -> Members,
    decode: Box<Decode<Ctx>>,
}

type Decode<Ctx> = dyn Fn(Input<'_>) -> Decoded<Ctx> + Send + Sync;

/// The call, ready to run, and the names of members that no field claimed.
type Decoded<Ctx> = Result<(Box<dyn Prepared<Ctx>>, Vec<String>), Rejection>;

/// The undecoded input of an action.
#[derive(Clone, Copy)]
pub(crate) enum Input<'a> {
    Form(&'a Pairs<'a>, Lists),
    Json(&'a [u8]),
    Cbor(&'a [u8]),
    Tree(&'a Tree),
}

/// A decoded call.
pub trait Prepared<Ctx: ?Sized>: Send {
    fn run(self: Box<Self>, ctx: &mut Ctx) -> Result<Box<dyn Answer>, ApiError>;
}

/// What an action returned, not yet encoded.
pub trait Answer: Send {
    /// Appends the members as elements; false if there is no output at all.
    fn write_xml(&self, out: &mut xml::Text, style: xml::Style) -> Result<bool, ApiError>;
    fn to_json(&self) -> Result<Vec<u8>, ApiError>;
    fn to_cbor(&self) -> Result<Vec<u8>, ApiError>;
}

/// Ties `name` to `run`. The input and output types say the rest.
///
/// An action without output returns `()`; one whose output has no members an
/// empty struct, since Query answers differ in the two.
pub fn action<Ctx, In, Out, F>(name: &'static str, run: F) -> Action<Ctx>
where
    Ctx: ?Sized + 'static,
    In: DeserializeOwned + Send + 'static,
    Out: Serialize + Send + 'static,
    F: Fn(&mut Ctx, In) -> Result<Out, ApiError> + Copy + Send + Sync + 'static,
{
    const READING: [&str; 4] = ["Describe", "Get", "List", "Search"];
    Action {
        name,
        route: None,
        read_only: READING.iter().any(|verb| name.starts_with(verb)),
        input: members::members::<In>,
        decode: Box::new(move |input| {
            let (input, unclaimed) = match input {
                Input::Form(pairs, lists) => query::decode::<In>(pairs, lists)?,
                Input::Json(body) => json::decode(body)?,
                Input::Cbor(body) => cbor::decode(body)?,
                Input::Tree(tree) => tree::decode(tree)?,
            };
            Ok((Box::new(Bound { input, run }), unclaimed))
        }),
    }
}

impl<Ctx: ?Sized> Action<Ctx> {
    /// For an action that changes records whatever its name suggests.
    pub fn writes(mut self) -> Self {
        self.read_only = false;
        self
    }

    /// For an action that changes no record whatever its name suggests.
    pub fn reads(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Where REST finds it, and the status of its answer.
    pub fn at(mut self, method: &'static str, path: &'static str, status: u16) -> Self {
        self.route = Some(Route {
            method,
            path,
            status,
        });
        self
    }

    pub(crate) fn decode(&self, input: Input<'_>) -> Decoded<Ctx> {
        (self.decode)(input)
    }
}

struct Bound<In, F> {
    input: In,
    run: F,
}

impl<Ctx, In, Out, F> Prepared<Ctx> for Bound<In, F>
where
    Ctx: ?Sized,
    In: Send,
    Out: Serialize + Send + 'static,
    F: Fn(&mut Ctx, In) -> Result<Out, ApiError> + Send,
{
    fn run(self: Box<Self>, ctx: &mut Ctx) -> Result<Box<dyn Answer>, ApiError> {
        let output = (self.run)(ctx, self.input)?;
        Ok(Box::new(output))
    }
}

impl<T: Serialize + Send> Answer for T {
    fn write_xml(&self, out: &mut xml::Text, style: xml::Style) -> Result<bool, ApiError> {
        xml::write_fields(out, self, style).map_err(unwritable)
    }

    fn to_json(&self) -> Result<Vec<u8>, ApiError> {
        json::encode(self).map_err(unwritable)
    }

    fn to_cbor(&self) -> Result<Vec<u8>, ApiError> {
        cbor::encode(self).map_err(unwritable)
    }
}

/// A shape with no form on the wire is our mistake; the type's author needs the cause.
fn unwritable(cause: impl std::fmt::Display) -> ApiError {
    ApiError::internal(format!("The answer cannot be written: {cause}"))
}
