//! Names the members of an input type, for the coverage table.
//!
//! serde hands every deserializer the names of a struct's fields before it reads
//! anything. This one takes them and stops; a list kept by hand beside the type
//! would drift.

use serde::de::{self, DeserializeOwned, Visitor};
use std::fmt;

/// Wire names of the fields of `T`, renames applied; empty for `()`.
pub fn names<T: DeserializeOwned>() -> &'static [&'static str] {
    match T::deserialize(Lister) {
        Err(Listed(names)) => names,
        Ok(_) => &[],
    }
}

struct Lister;

/// An error only in form: it carries the names out.
#[derive(Debug)]
struct Listed(&'static [&'static str]);

impl<'de> de::Deserializer<'de> for Lister {
    type Error = Listed;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Listed> {
        Err(Listed(&[]))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Listed> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Listed> {
        Err(Listed(names))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fields {:?}", self.0)
    }
}

impl std::error::Error for Listed {}

impl de::Error for Listed {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }
}
