//! Names the members of an input type, nested ones too, for the coverage table.
//!
//! serde hands every deserializer the names of a struct's fields before it reads
//! anything. This one walks down one path of names, takes those it finds at the
//! end and stops by way of an error, once for every structure of the type: no
//! value is ever made up, so no type's own checks stand in the way. A list kept
//! by hand beside the type would drift.

use crate::effect::Effect;
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::fmt;

/// A member of an input, by its name on the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub name: &'static str,
    pub effect: Effect,
    /// Of a structure, or of the elements of a list or the values of a map.
    pub inner: Members,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Members {
    /// A value.
    #[default]
    None,
    Named(Vec<Member>),
    /// Whatever the client sends is taken.
    Any,
}

/// What `T` reads: its members and theirs.
pub fn members<T: DeserializeOwned>() -> Members {
    explore::<T>(&mut Vec::new(), &mut Vec::new()).1
}

type Names = &'static [&'static str];

/// `above` are the structures that lie on the path: one that contains itself ends there.
fn explore<T: DeserializeOwned>(
    path: &mut Vec<&'static str>,
    above: &mut Vec<Names>,
) -> (Effect, Members) {
    let found = match T::deserialize(Tracer {
        path,
        effect: Effect::Honoured,
    }) {
        Err(found) => found,
        Ok(_) => Found::Value(Effect::Honoured),
    };
    match found {
        Found::Names(names, effect) => {
            if above.iter().any(|outer| std::ptr::eq(*outer, names)) {
                return (effect, Members::None);
            }
            above.push(names);
            let mut members = Vec::with_capacity(names.len());
            for name in names {
                path.push(name);
                let (effect, inner) = explore::<T>(path, above);
                path.pop();
                members.push(Member {
                    name,
                    effect,
                    inner,
                });
            }
            above.pop();
            (effect, Members::Named(members))
        }
        Found::Any(effect) => (effect, Members::Any),
        Found::Value(effect) => (effect, Members::None),
    }
}

/// What lies at the end of the path; an error only in form.
#[derive(Debug)]
enum Found {
    Names(Names, Effect),
    Any(Effect),
    Value(Effect),
}

struct Tracer<'a> {
    path: &'a [&'static str],
    /// Of the innermost marker on the way: what holds for a structure holds for its parts.
    effect: Effect,
}

impl Tracer<'_> {
    fn value<T>(self) -> Result<T, Found> {
        Err(Found::Value(self.effect))
    }
}

macro_rules! values {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Found> {
            self.value()
        }
    )* };
}

impl<'de> de::Deserializer<'de> for Tracer<'_> {
    type Error = Found;

    values! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32
        deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_unit deserialize_ignored_any deserialize_identifier
    }

    /// Asked by types that read what comes: timestamps and blobs name what they
    /// expect, `serde_json::Value` expects anything.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Found> {
        let expected = (&visitor as &dyn de::Expected).to_string();
        if expected == ANY_JSON {
            return Err(Found::Any(self.effect));
        }
        self.value()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Found> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Found> {
        let effect = match Effect::of_newtype(name) {
            Some(effect) => effect,
            None => self.effect,
        };
        visitor.visit_newtype_struct(Tracer { effect, ..self })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Found> {
        visitor.visit_seq(One(self))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Found> {
        visitor.visit_seq(One(self))
    }

    /// The values of a map share one shape, so it adds nothing to the path.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Found> {
        visitor.visit_map(One(self))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Found> {
        match self.path.split_first() {
            None => Err(Found::Names(names, self.effect)),
            Some((name, path)) => visitor.visit_map(Step {
                name,
                rest: Tracer { path, ..self },
            }),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Found> {
        self.value()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: V,
    ) -> Result<V::Value, Found> {
        self.value()
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Found> {
        visitor.visit_seq(One(self))
    }
}

/// How `serde_json::Value` names what it expects.
const ANY_JSON: &str = "any valid JSON value";

/// The one member on the path.
struct Step<'a> {
    name: &'static str,
    rest: Tracer<'a>,
}

impl<'de> MapAccess<'de> for Step<'_> {
    type Error = Found;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Found> {
        let name: StrDeserializer<'_, Found> = self.name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Found> {
        seed.deserialize(Tracer { ..self.rest })
    }
}

/// A list or a map of one element.
struct One<'a>(Tracer<'a>);

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Found;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Found> {
        seed.deserialize(Tracer { ..self.0 }).map(Some)
    }
}

impl<'de> MapAccess<'de> for One<'_> {
    type Error = Found;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Found> {
        let key: StrDeserializer<'_, Found> = "key".into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Found> {
        seed.deserialize(Tracer { ..self.0 })
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Found {}

impl de::Error for Found {
    /// A type that checks what it was given, such as the key of a map.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Value(Effect::Honoured)
    }
}

/// For `nines coverage --json`: `{"name": …, "effect": …}` and `members` or `any` where there are some.
impl Serialize for Member {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut out = s.serialize_struct("Member", 3)?;
        out.serialize_field("name", self.name)?;
        out.serialize_field("effect", &self.effect)?;
        match &self.inner {
            Members::None => {}
            Members::Named(members) => out.serialize_field("members", members)?,
            Members::Any => out.serialize_field("any", &true)?,
        }
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Blob, Timestamp};
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    #[expect(dead_code, reason = "only its shape is looked at")]
    struct Input {
        plain: String,
        at: Option<Timestamp>,
        blob: Blob,
        #[serde(default, deserialize_with = "crate::validated")]
        force: Option<bool>,
        #[serde(default, deserialize_with = "crate::stored")]
        kept: Vec<Inner>,
        #[serde(rename = "Filter", default)]
        filters: Vec<Inner>,
        by_name: BTreeMap<String, Inner>,
        #[serde(default, deserialize_with = "crate::refused")]
        whatever: Option<serde_json::Value>,
        again: Option<Box<Input>>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    #[expect(dead_code, reason = "only its shape is looked at")]
    struct Inner {
        address: Address,
        depth: Option<u8>,
    }

    #[derive(Deserialize)]
    #[serde(try_from = "String")]
    struct Address(#[expect(dead_code, reason = "only its shape is looked at")] u32);

    impl TryFrom<String> for Address {
        type Error = std::num::ParseIntError;

        fn try_from(text: String) -> Result<Self, Self::Error> {
            text.parse().map(Self)
        }
    }

    fn lines(members: &Members, indent: usize, out: &mut String) {
        match members {
            Members::None => {}
            Members::Any => *out += &format!("{:indent$}*\n", ""),
            Members::Named(members) => {
                for member in members {
                    *out += &format!("{:indent$}{} {:?}\n", "", member.name, member.effect);
                    lines(&member.inner, indent + 1, out);
                }
            }
        }
    }

    #[test]
    fn walks_every_member() {
        let mut out = String::new();
        lines(&members::<Input>(), 0, &mut out);
        let expected = "\
            Plain Honoured\nAt Honoured\nBlob Honoured\nForce Validated\n\
            Kept Stored\n Address Stored\n Depth Stored\n\
            Filter Honoured\n Address Honoured\n Depth Honoured\n\
            ByName Honoured\n Address Honoured\n Depth Honoured\n\
            Whatever Refused\n *\nAgain Honoured\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn an_input_of_anything_says_so() {
        type Anything = serde_json::Map<String, serde_json::Value>;
        assert_eq!(members::<Anything>(), Members::Any);
        assert_eq!(members::<()>(), Members::None);
    }
}
