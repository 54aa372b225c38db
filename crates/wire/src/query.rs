//! Reads Query parameters (`Filter.1.Name=…`) into a serde type.
//!
//! The parameters are sorted by the parts of their names, so that everything
//! below one name lies side by side: a node of the tree is a slice and an offset
//! into its names, and no tree is built. Each level of the type costs one pass
//! over its slice, whatever the indices and depths a client makes up. A tree of
//! maps was tried first; it cost an allocation per part and a recursive drop.
//!
//! serde's `flatten` and `untagged` lose the types of numbers and are not for
//! inputs.

use crate::form::Pairs;
use crate::rejection::{Rejection, Step};
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer as _, IntoDeserializer, MapAccess,
    SeqAccess, Visitor,
};
use std::cell::RefCell;
use std::cmp::Ordering;

/// How a list is spelled in a parameter name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lists {
    /// `Names.member.1` of awsQuery. `Names.1` and `Names.Name.1` are read as well:
    /// models with `flattened` or named members spell it so.
    Member,
    /// `Name.1` of ec2Query, and nothing else.
    Flat,
}

/// Most parts of a name; the deepest EC2 input has 9.
const MAX_DEPTH: usize = 32;

/// Decodes `pairs`, and returns the names that `T` has no field for.
pub fn decode<T: DeserializeOwned>(
    pairs: &Pairs<'_>,
    lists: Lists,
) -> Result<(T, Vec<String>), Rejection> {
    let mut params: Vec<Param<'_>> = pairs.iter().map(|(n, v)| (&**n, &**v)).collect();
    for (name, _) in &params {
        check_name(name)?;
    }
    params.sort_unstable_by(|(a, _), (b, _)| by_parts(a, b));
    for pair in params.windows(2) {
        check_neighbours(pair[0].0, pair[1].0)?;
    }
    let unclaimed = RefCell::new(Vec::new());
    let root = Node {
        params: &params,
        at: 0,
        lists,
        unclaimed: &unclaimed,
    };
    let value = T::deserialize(root)?;
    Ok((value, unclaimed.into_inner()))
}

type Param<'a> = (&'a str, &'a str);

fn check_name(name: &str) -> Result<(), Rejection> {
    let malformed = |why| Err(Rejection::malformed(why));
    if name.split('.').any(str::is_empty) {
        return malformed("a parameter name has an empty part".to_owned());
    }
    if MAX_DEPTH < name.split('.').count() {
        return malformed(format!("a parameter name has more than {MAX_DEPTH} parts"));
    }
    Ok(())
}

/// Orders by parts: the dot sorts before every other character.
fn by_parts(a: &str, b: &str) -> Ordering {
    let rank = |byte: u8| if byte == b'.' { 0 } else { u16::from(byte) + 1 };
    a.bytes().map(rank).cmp(b.bytes().map(rank))
}

/// In this order a name given twice, or one that is both a value and a structure,
/// sits right beside its rival.
fn check_neighbours(a: &str, b: &str) -> Result<(), Rejection> {
    let Some(rest) = b.strip_prefix(a) else {
        return Ok(());
    };
    let why = match rest.bytes().next() {
        None => format!("the parameter {a} is given more than once"),
        Some(b'.') => format!("the parameter {a} is given both as a value and as a structure"),
        Some(_) => return Ok(()),
    };
    Err(Rejection::malformed(why))
}

/// All parameters that share the first `at` bytes of their names.
#[derive(Clone, Copy)]
struct Node<'a> {
    params: &'a [Param<'a>],
    /// Where the next part starts; beyond the end of the name at a leaf.
    at: usize,
    lists: Lists,
    unclaimed: &'a RefCell<Vec<String>>,
}

impl<'a> Node<'a> {
    /// The value, where this is a leaf.
    fn value(self) -> Option<&'a str> {
        let (name, value) = self.params.first()?;
        (name.len() < self.at).then_some(*value)
    }

    fn text(self) -> Result<&'a str, Rejection> {
        self.value()
            .ok_or_else(|| de::Error::custom("expected a value, not a structure"))
    }

    fn parse<T: std::str::FromStr>(self, what: &str) -> Result<T, Rejection> {
        let parsed = self.text()?.parse();
        parsed.map_err(|_| de::Error::custom(format_args!("expected {what}")))
    }

    fn children(self) -> Children<'a> {
        Children(self)
    }

    /// The children of a list or map; a lone empty value means an empty one.
    fn elements(self, what: &str) -> Result<Children<'a>, Rejection> {
        match self.value() {
            None => Ok(self.children()),
            Some("") => Ok(Children(Node {
                params: &[],
                ..self
            })),
            Some(_) => Err(de::Error::custom(format_args!("expected {what}"))),
        }
    }

    /// The list itself, where it hides behind `member` or the name of its elements.
    fn unwrapped(self) -> Node<'a> {
        let mut children = self.children();
        match (self.lists, children.next(), children.next()) {
            (Lists::Member, Some((name, list)), None) if index(name).is_none() => list,
            _ => self,
        }
    }

    fn items(self) -> Result<std::vec::IntoIter<(u32, Node<'a>)>, Rejection> {
        let mut items = Vec::new();
        for (name, node) in self.unwrapped().elements("a list")? {
            let Some(index) = index(name) else {
                let why = de::Error::custom(format_args!("`{name}` is not the index of a list"));
                return Err(why);
            };
            items.push((index, node));
        }
        items.sort_unstable_by_key(|(index, _)| *index);
        Ok(items.into_iter())
    }

    /// `entry.1.key`, `entry.1.value` or, flattened, `1.key`, `1.value`: the
    /// entries of a map, if this is one.
    fn entries(self) -> Option<Node<'a>> {
        let mut children = self.children();
        let entries = match (children.next()?, children.next()) {
            (("entry", entries), None) => entries,
            _ => self,
        };
        let is_entry = |(name, node): (&str, Node<'a>)| {
            index(name).is_some()
                && node
                    .children()
                    .any(|(name, _)| name == "key" || name == "value")
        };
        entries.children().all(is_entry).then_some(entries)
    }

    /// Reads a value; an error that has no place yet gets this one.
    fn read<T: DeserializeSeed<'a>>(self, seed: T, step: Step) -> Result<T::Value, Rejection> {
        let value = || self.value().unwrap_or_default().to_owned();
        seed.deserialize(self)
            .map_err(|rejection| rejection.at(step, value))
    }
}

/// Canonical decimals only, so that no index has two spellings.
fn index(part: &str) -> Option<u32> {
    let digits = part.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits && (part == "0" || !part.starts_with('0'));
    canonical.then(|| part.parse().ok()).flatten()
}

/// Splits a node into one node per next part.
struct Children<'a>(Node<'a>);

impl<'a> Iterator for Children<'a> {
    type Item = (&'a str, Node<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let Node { params, at, .. } = self.0;
        let part = |name: &'a str| name.get(at..).and_then(|rest| rest.split('.').next());
        let name = part(params.first()?.0)?;
        let end = params.partition_point(|(n, _)| part(n) == Some(name));
        let (mine, rest) = params.split_at(end);
        self.0.params = rest;
        let child = Node {
            params: mine,
            at: at + name.len() + 1,
            ..self.0
        };
        Some((name, child))
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $what:literal,)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
            visitor.$visit(self.parse($what)?)
        }
    )* };
}

impl<'de> de::Deserializer<'de> for Node<'de> {
    type Error = Rejection;

    parsed! {
        deserialize_i8 visit_i8 "an integer",
        deserialize_i16 visit_i16 "an integer",
        deserialize_i32 visit_i32 "an integer",
        deserialize_i64 visit_i64 "an integer",
        deserialize_u8 visit_u8 "a non-negative integer",
        deserialize_u16 visit_u16 "a non-negative integer",
        deserialize_u32 visit_u32 "a non-negative integer",
        deserialize_u64 visit_u64 "a non-negative integer",
        deserialize_f32 visit_f32 "a number",
        deserialize_f64 visit_f64 "a number",
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        match self.text()? {
            text if text.eq_ignore_ascii_case("true") => visitor.visit_bool(true),
            text if text.eq_ignore_ascii_case("false") => visitor.visit_bool(false),
            _ => Err(de::Error::custom("expected true or false")),
        }
    }

    /// For inputs kept as they came (`serde_json::Value`): the shape is guessed from the names.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        if let Some(text) = self.value() {
            return visitor.visit_str(text);
        }
        let mut children = self.children();
        match (children.next(), children.next()) {
            (Some(("member", _)), None) if self.lists == Lists::Member => {
                self.deserialize_seq(visitor)
            }
            (Some((first, _)), _) if index(first).is_some() => self.deserialize_seq(visitor),
            _ => self.deserialize_map(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Rejection> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Rejection> {
        let text: StrDeserializer<'_, Rejection> = self.text()?.into_deserializer();
        visitor.visit_enum(text)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        visitor.visit_seq(Items(self.items()?))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        match self.entries() {
            Some(entries) => visitor.visit_map(Entries {
                rest: entries.items()?,
                index: 0,
                value: None,
            }),
            None => self.deserialize_struct("", &[], visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Rejection> {
        visitor.visit_map(Members {
            rest: self.elements("a structure")?,
            next: None,
        })
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        self.deserialize_ignored_any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Rejection> {
        self.deserialize_ignored_any(visitor)
    }

    /// serde sends everything here that no field claims.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        let names = self.params.iter().map(|(name, _)| (*name).to_owned());
        self.unclaimed.borrow_mut().extend(names);
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { tuple tuple_struct }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        self.deserialize_str(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        self.deserialize_str(visitor)
    }
}

struct Items<'a>(std::vec::IntoIter<(u32, Node<'a>)>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Rejection;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Rejection> {
        let next = self.0.next();
        next.map(|(index, node)| node.read(seed, Step::Index(index)))
            .transpose()
    }
}

struct Members<'a> {
    rest: Children<'a>,
    next: Option<(&'a str, Node<'a>)>,
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = Rejection;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Rejection> {
        self.next = self.rest.next();
        let Some((name, _)) = self.next else {
            return Ok(None);
        };
        let name: StrDeserializer<'_, Rejection> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Rejection> {
        let Some((name, node)) = self.next.take() else {
            return Err(de::Error::custom("a value was asked for before its name"));
        };
        node.read(seed, Step::Member(name.to_owned()))
    }
}

/// `1.key`, `1.value`, `2.key`, …
struct Entries<'a> {
    rest: std::vec::IntoIter<(u32, Node<'a>)>,
    index: u32,
    value: Option<Node<'a>>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Rejection;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Rejection> {
        let Some((index, entry)) = self.rest.next() else {
            return Ok(None);
        };
        self.index = index;
        let mut key = None;
        for (name, node) in entry.children() {
            match name {
                "key" => key = Some(node),
                "value" => self.value = Some(node),
                _ => node.deserialize_ignored_any(de::IgnoredAny).map(drop)?,
            }
        }
        let Some(key) = key else {
            let missing: Rejection = de::Error::missing_field("key");
            return Err(missing.at(Step::Index(index), String::new));
        };
        key.read(seed, Step::Index(index)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Rejection> {
        let step = Step::Index(self.index);
        let Some(node) = self.value.take() else {
            let missing: Rejection = de::Error::missing_field("value");
            return Err(missing.at(step, String::new));
        };
        node.read(seed, step)
    }
}
