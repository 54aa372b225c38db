//! Leaves out what is absent: AWS's JSON and CBOR know no null.
//!
//! Wraps any serializer and drops the fields of structs that are `None`, so that
//! an output type need not say so on every field. Structs become maps of unknown
//! length, since CBOR writes the length first. `serde_json::Value` in between
//! would do the same at twice the cost.

use serde::ser::{self, Impossible, Serialize, Serializer};
use std::fmt;

/// A value whose absent members are not written.
pub(crate) struct Omit<T>(pub T);

impl<T: Serialize> Serialize for Omit<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Omitting(s))
    }
}

struct Omitting<S>(S);

macro_rules! passed {
    ($($method:ident($($arg:ident: $type:ty),*);)*) => { $(
        fn $method(self, $($arg: $type),*) -> Result<S::Ok, S::Error> {
            self.0.$method($($arg),*)
        }
    )* };
}

impl<S: Serializer> Serializer for Omitting<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Omitting<S::SerializeSeq>;
    type SerializeTuple = Omitting<S::SerializeTuple>;
    type SerializeTupleStruct = Omitting<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Omitting<S::SerializeTupleVariant>;
    type SerializeMap = Omitting<S::SerializeMap>;
    type SerializeStruct = Omitting<S::SerializeMap>;
    type SerializeStructVariant = Omitting<S::SerializeStructVariant>;

    passed! {
        serialize_bool(v: bool);
        serialize_i8(v: i8);
        serialize_i16(v: i16);
        serialize_i32(v: i32);
        serialize_i64(v: i64);
        serialize_u8(v: u8);
        serialize_u16(v: u16);
        serialize_u32(v: u32);
        serialize_u64(v: u64);
        serialize_f32(v: f32);
        serialize_f64(v: f64);
        serialize_char(v: char);
        serialize_str(v: &str);
        serialize_bytes(v: &[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, v: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_some(&Omit(v))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        v: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_struct(name, &Omit(v))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        v: &T,
    ) -> Result<S::Ok, S::Error> {
        let v = Omit(v);
        self.0.serialize_newtype_variant(name, index, variant, &v)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.0.serialize_seq(len).map(Omitting)
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.0.serialize_tuple(len).map(Omitting)
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        self.0.serialize_tuple_struct(name, len).map(Omitting)
    }

    /// The way `ciborium` spells a tag.
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        let inner = self.0.serialize_tuple_variant(name, index, variant, len);
        inner.map(Omitting)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.0.serialize_map(len).map(Omitting)
    }

    fn serialize_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        self.0.serialize_map(None).map(Omitting)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        let inner = self.0.serialize_struct_variant(name, index, variant, len);
        inner.map(Omitting)
    }
}

impl<S: ser::SerializeMap> ser::SerializeStruct for Omitting<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        v: &T,
    ) -> Result<(), S::Error> {
        if is_none(v) {
            return Ok(());
        }
        self.0.serialize_entry(name, &Omit(v))
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

impl<S: ser::SerializeMap> ser::SerializeMap for Omitting<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        self.0.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), S::Error> {
        self.0.serialize_value(&Omit(v))
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

macro_rules! sequences {
    ($($trait:ident::$method:ident),*) => { $(
        impl<S: ser::$trait> ser::$trait for Omitting<S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), S::Error> {
                self.0.$method(&Omit(v))
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.0.end()
            }
        }
    )* };
}

sequences! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
}

impl<S: ser::SerializeStructVariant> ser::SerializeStructVariant for Omitting<S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        v: &T,
    ) -> Result<(), S::Error> {
        self.0.serialize_field(name, &Omit(v))
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }
}

/// Looks at the outside of a value only; nothing is written and nothing descended into.
fn is_none<T: Serialize + ?Sized>(value: &T) -> bool {
    matches!(value.serialize(Probe), Err(Seen::Nothing))
}

struct Probe;

/// The probe stops at the first thing it sees by way of an error.
#[derive(Debug)]
enum Seen {
    Nothing,
    Something,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Seen {}

impl ser::Error for Seen {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Something
    }
}

type Stop = Impossible<(), Seen>;

macro_rules! something {
    ($($method:ident($($arg:ty),*) -> $ok:ty;)*) => { $(
        fn $method(self, $(_: $arg),*) -> Result<$ok, Seen> {
            Err(Seen::Something)
        }
    )* };
}

impl Serializer for Probe {
    type Ok = ();
    type Error = Seen;
    type SerializeSeq = Stop;
    type SerializeTuple = Stop;
    type SerializeTupleStruct = Stop;
    type SerializeTupleVariant = Stop;
    type SerializeMap = Stop;
    type SerializeStruct = Stop;
    type SerializeStructVariant = Stop;

    fn serialize_none(self) -> Result<(), Seen> {
        Err(Seen::Nothing)
    }

    something! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Stop;
        serialize_tuple(usize) -> Stop;
        serialize_tuple_struct(&'static str, usize) -> Stop;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Stop;
        serialize_map(Option<usize>) -> Stop;
        serialize_struct(&'static str, usize) -> Stop;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Stop;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Seen> {
        Err(Seen::Something)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<(), Seen> {
        Err(Seen::Something)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Seen> {
        Err(Seen::Something)
    }
}
