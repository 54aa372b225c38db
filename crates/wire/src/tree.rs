//! JSON, CBOR and XML inputs: first any value at all, then the type an action wants.
//!
//! Both formats describe themselves, so one reader of trees serves both, and it
//! does what neither library would: it names the member at fault, takes an
//! explicit null for an absent member, an integer for a number (JavaScript's SDK
//! writes 71.0 so), and no array for a structure. Straight from the bytes would be
//! faster, at the price of reading the libraries' error texts back.

use crate::element::Element;
use crate::rejection::{Rejection, Step};
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::{Deserialize, Deserializer};
use std::cell::RefCell;
use std::fmt;

/// Any value of JSON or CBOR.
#[derive(Debug, PartialEq)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
    /// Of XML, which does not tell a value from a list from a structure: the type does.
    Element(String, Vec<(String, Tree)>),
}

impl From<Element> for Tree {
    fn from(element: Element) -> Self {
        let children = element.children.into_iter();
        let members = children.map(|mut child| (std::mem::take(&mut child.name), child.into()));
        Self::Element(element.text, members.collect())
    }
}

/// Turns `tree` into a `T`, and returns the members that `T` has no field for.
pub(crate) fn decode<T: DeserializeOwned>(tree: &Tree) -> Result<(T, Vec<String>), Rejection> {
    let (Tree::Map(_) | Tree::Element(..)) = tree else {
        let why = "the body is not a structure".to_owned();
        return Err(Rejection::malformed(why));
    };
    let unclaimed = RefCell::new(Vec::new());
    let root = Node {
        tree,
        unclaimed: &unclaimed,
    };
    let value = T::deserialize(root)?;
    Ok((value, unclaimed.into_inner()))
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Grower)
    }
}

struct Grower;

impl<'de> Visitor<'de> for Grower {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Tree, E> {
        Ok(Tree::Signed(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Tree, E> {
        Ok(Tree::Unsigned(v))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Tree, E> {
        Ok(Tree::Float(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Tree, E> {
        Ok(Tree::Text(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Tree, E> {
        Ok(Tree::Text(v))
    }

    fn visit_bytes<E>(self, v: &[u8]) -> Result<Tree, E> {
        Ok(Tree::Bytes(v.to_vec()))
    }

    fn visit_byte_buf<E>(self, v: Vec<u8>) -> Result<Tree, E> {
        Ok(Tree::Bytes(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        // The length a client announces is not trusted with an allocation.
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Tree::Map(map))
    }

    /// A CBOR tag, the way `ciborium` shows it. Only timestamps are tagged, and a
    /// number is enough to know of one.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Tree, A::Error> {
        let (_, variant) = tagged.variant::<String>()?;
        variant.tuple_variant(2, Tagged)
    }
}

struct Tagged;

impl<'de> Visitor<'de> for Tagged {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a timestamp")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Tree, A::Error> {
        let tag: Option<u64> = parts.next_element()?;
        let value = parts.next_element()?;
        match (tag, value) {
            (Some(1), Some(value)) => Ok(value),
            _ => Err(de::Error::custom("a tag other than 1 means nothing here")),
        }
    }
}

/// A value on its way into a type.
#[derive(Clone, Copy)]
struct Node<'a> {
    tree: &'a Tree,
    unclaimed: &'a RefCell<Vec<String>>,
}

impl<'a> Node<'a> {
    /// Reads a value; whatever has no place yet, error or unclaimed, gets this one.
    fn read<T: DeserializeSeed<'a>>(self, seed: T, step: Step) -> Result<T::Value, Rejection> {
        let before = self.unclaimed.borrow().len();
        let value = seed.deserialize(self);
        for name in &mut self.unclaimed.borrow_mut()[before..] {
            *name = match name.as_str() {
                "" => step.to_string(),
                name => format!("{step}.{name}"),
            };
        }
        value.map_err(|rejection| rejection.at(step, || self.tree.brief()))
    }

    fn expected<T>(self, what: &str) -> Result<T, Rejection> {
        Err(de::Error::custom(format_args!("expected {what}")))
    }

    fn with(self, tree: &'a Tree) -> Self {
        Self { tree, ..self }
    }
}

impl Tree {
    /// For messages: scalars as they are, nothing of the others.
    fn brief(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(v) => v.to_string(),
            Self::Signed(v) => v.to_string(),
            Self::Unsigned(v) => v.to_string(),
            Self::Float(v) => v.to_string(),
            Self::Text(v) | Self::Element(v, _) => v.clone(),
            Self::Bytes(_) | Self::List(_) | Self::Map(_) => String::new(),
        }
    }
}

macro_rules! integers {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
            match *self.tree {
                Tree::Signed(v) => visitor.visit_i64(v),
                Tree::Unsigned(v) => visitor.visit_u64(v),
                Tree::Element(ref text, _) => match text.trim().parse() {
                    Ok(v) => visitor.visit_i64(v),
                    Err(_) => self.expected("an integer"),
                },
                _ => self.expected("an integer"),
            }
        }
    )* };
}

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Rejection;

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        match self.tree {
            Tree::Null => visitor.visit_unit(),
            Tree::Bool(v) => visitor.visit_bool(*v),
            Tree::Signed(v) => visitor.visit_i64(*v),
            Tree::Unsigned(v) => visitor.visit_u64(*v),
            Tree::Float(v) => visitor.visit_f64(*v),
            Tree::Text(v) => visitor.visit_borrowed_str(v),
            Tree::Bytes(v) => visitor.visit_borrowed_bytes(v),
            Tree::List(_) => self.deserialize_seq(visitor),
            Tree::Map(_) => self.deserialize_map(visitor),
            Tree::Element(v, members) if members.is_empty() => visitor.visit_borrowed_str(v),
            Tree::Element(..) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        match self.tree {
            Tree::Element(v, _) => match v.trim() {
                "true" | "1" => visitor.visit_bool(true),
                "false" | "0" => visitor.visit_bool(false),
                _ => self.expected("a boolean"),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        match self.tree {
            Tree::Signed(v) => visitor.visit_i64(*v),
            Tree::Unsigned(v) => visitor.visit_u64(*v),
            Tree::Float(v) => visitor.visit_f64(*v),
            // JSON has no way to write them as numbers.
            Tree::Text(v) if matches!(v.as_str(), "NaN" | "Infinity" | "-Infinity") => {
                visitor.visit_f64(v.parse().unwrap_or(f64::NAN))
            }
            Tree::Element(v, _) => match v.trim().parse() {
                Ok(v) => visitor.visit_f64(v),
                Err(_) => self.expected("a number"),
            },
            _ => self.expected("a number"),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        match self.tree {
            Tree::Text(v) => visitor.visit_borrowed_str(v),
            Tree::Element(v, members) if members.is_empty() => visitor.visit_borrowed_str(v),
            _ => self.expected("a string"),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        match self.tree {
            Tree::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
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
        let (Tree::Text(text) | Tree::Element(text, _)) = self.tree else {
            return self.expected("a string");
        };
        let text: StrDeserializer<'_, Rejection> = text.as_str().into_deserializer();
        visitor.visit_enum(text)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        let items: Vec<&Tree> = match self.tree {
            Tree::List(items) => items.iter().collect(),
            Tree::Element(_, items) => items.iter().map(|(_, item)| item).collect(),
            _ => return self.expected("a list"),
        };
        visitor.visit_seq(Items {
            node: self,
            rest: items.into_iter().enumerate(),
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        let (Tree::Map(members) | Tree::Element(_, members)) = self.tree else {
            return self.expected("a structure");
        };
        visitor.visit_map(Members {
            node: self,
            rest: members.iter(),
            next: None,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Rejection> {
        self.deserialize_map(visitor)
    }

    /// An action without input gets a structure all the same; none of it is claimed.
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        if let Tree::Map(members) | Tree::Element(_, members) = self.tree {
            let names = members.iter().map(|(name, _)| name.clone());
            self.unclaimed.borrow_mut().extend(names);
        }
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Rejection> {
        self.deserialize_unit(visitor)
    }

    /// serde sends everything here that no field claims; [`Node::read`] adds the name.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Rejection> {
        self.unclaimed.borrow_mut().push(String::new());
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        char bytes byte_buf tuple tuple_struct identifier
    }
}

struct Items<'a> {
    node: Node<'a>,
    rest: std::iter::Enumerate<std::vec::IntoIter<&'a Tree>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Rejection;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Rejection> {
        let Some((at, tree)) = self.rest.next() else {
            return Ok(None);
        };
        let position = u32::try_from(at + 1).unwrap_or(u32::MAX);
        let item = self.node.with(tree);
        item.read(seed, Step::Index(position)).map(Some)
    }
}

struct Members<'a> {
    node: Node<'a>,
    rest: std::slice::Iter<'a, (String, Tree)>,
    next: Option<&'a (String, Tree)>,
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = Rejection;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Rejection> {
        // Null is absent, also to a list that has a default but is no option.
        self.next = self.rest.find(|(_, tree)| *tree != Tree::Null);
        let Some((name, _)) = self.next else {
            return Ok(None);
        };
        let name: StrDeserializer<'_, Rejection> = name.as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Rejection> {
        let Some((name, tree)) = self.next.take() else {
            return Err(de::Error::custom("a value was asked for before its name"));
        };
        let member = self.node.with(tree);
        member.read(seed, Step::Member(name.clone()))
    }
}
