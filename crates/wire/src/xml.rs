//! Writes a serde type as the XML of ec2, Query and REST-XML answers.
//!
//! Everything goes straight into one `String`: an element costs no allocation,
//! since DescribeInstances writes some 100,000 of them for 1,000 instances. What
//! a service keeps written from answer to answer ([`Written`]) is not copied into
//! it, but remembered by its place ([`Text`]).
//! The protocol holds the rule ([`Style`]), the type only exceptions by serde
//! renames. `None` writes nothing, an empty list or text an empty element.
//! A field named `@xsi:type` becomes an attribute of its element; attributes
//! come first in their struct; one named `$wire::Header/Location` becomes a header. `flatten` works, enums with data are refused.

use crate::markup::{DECLARATION, Escaping, close, open, push_escaped};
use crate::request::Body;
use crate::timestamp::{self, Millis, push_iso8601};
use bytes::Bytes;
use serde::ser::{self, Impossible, Serialize};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::{self, Write};

/// What differs between the XML protocols.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    lists: Lists,
    millis: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Lists {
    /// `<set><item>…</item><item>…</item></set>`
    Wrapped(&'static str),
    /// `<Contents>…</Contents><Contents>…</Contents>`
    Repeated,
}

pub const EC2: Style = Style {
    lists: Lists::Wrapped("item"),
    millis: Millis::Always,
};

pub const QUERY: Style = Style {
    lists: Lists::Wrapped("member"),
    millis: Millis::WhenNotZero,
};

/// S3: lists repeat their own element; a wrapped one is a struct with one such field.
pub const REST: Style = Style {
    lists: Lists::Repeated,
    millis: Millis::Always,
};

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl From<fmt::Error> for Error {
    fn from(_: fmt::Error) -> Self {
        Self("a value cannot be written as XML".to_owned())
    }
}

/// XML on its way, and what was written before that comes in at which place of it.
#[derive(Default)]
pub struct Text {
    pub(crate) own: String,
    /// In order of their places.
    kept: Vec<(usize, Bytes)>,
    pub(crate) headers: Headers,
}

/// Members of an answer that are no elements, but headers beside it.
pub(crate) type Headers = Vec<(&'static str, String)>;

impl From<Text> for Body {
    fn from(text: Text) -> Self {
        let own = Bytes::from(text.own);
        let mut pieces = Vec::with_capacity(2 * text.kept.len() + 1);
        let mut from = 0;
        for (at, kept) in text.kept {
            pieces.extend([own.slice(from..at), kept]);
            from = at;
        }
        pieces.push(own.slice(from..));
        Self::of(pieces)
    }
}

/// A whole document: `value` as the element `root`, with a namespace unless that is empty.
/// Has nothing [`Written`] in it.
pub fn document<T: Serialize + ?Sized>(
    root: &str,
    namespace: &str,
    value: &T,
    style: Style,
) -> Result<String, Error> {
    let mut out = Text {
        own: String::from(DECLARATION),
        ..Text::default()
    };
    open(&mut out.own, root, namespace);
    write_fields(&mut out, value, style)?;
    close(&mut out.own, root);
    whole(out)
}

/// The fields of `value` as elements, to be put into later answers as [`Written`].
pub fn fields<T: Serialize + ?Sized>(value: &T, style: Style) -> Result<String, Error> {
    let mut out = Text::default();
    write_fields(&mut out, value, style)?;
    whole(out)
}

/// The content of an element as [`Written`], in one piece; `value` may have such in it.
pub fn joined<T: Serialize + ?Sized>(value: &T, style: Style) -> Result<Written, Error> {
    let mut out = Text::default();
    write_fields(&mut out, value, style)?;
    Ok(Written(Body::from(out).to_vec().into()))
}

fn whole(text: Text) -> Result<String, Error> {
    match text.kept.is_empty() {
        true => Ok(text.own),
        false => Err(ser::Error::custom(
            "only an answer has room for what is kept",
        )),
    }
}

/// The content of an element, written before by [`fields`]. Only for answers in XML.
#[derive(Clone, Debug, PartialEq)]
pub struct Written(Bytes);

impl From<String> for Written {
    fn from(xml: String) -> Self {
        Self(xml.into())
    }
}

const WRITTEN: &str = "$wire::Written";

thread_local! {
    /// From [`Written`] to the writer on the same stack: serde passes only what can be copied.
    static HANDED: Cell<Option<Bytes>> = const { Cell::new(None) };
}

impl Serialize for Written {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        HANDED.set(Some(self.0.clone()));
        s.serialize_newtype_struct(WRITTEN, &())
    }
}

/// Appends the fields of `value` as elements. False if it is a unit, which has no body at all.
pub(crate) fn write_fields<T: Serialize + ?Sized>(
    out: &mut Text,
    value: &T,
    style: Style,
) -> Result<bool, Error> {
    // The writer works on its own text so that it can hand it back whole.
    let text = std::mem::take(out);
    let mut writer = Writer {
        tag: text.own.len(),
        open: text.own.len(),
        xml: text.own,
        kept: text.kept,
        headers: text.headers,
        style,
        in_timestamp: false,
        items: None,
    };
    let wrote = value.serialize(&mut writer);
    *out = Text {
        own: writer.xml,
        kept: writer.kept,
        headers: writer.headers,
    };
    Ok(wrote? == Wrote::Element)
}

struct Writer {
    xml: String,
    kept: Vec<(usize, Bytes)>,
    headers: Headers,
    /// Where the start tag of the innermost element starts, and where it ends.
    tag: usize,
    open: usize,
    style: Style,
    /// The next number is a timestamp.
    in_timestamp: bool,
    /// What the elements of the next list are called, where the protocol's rule does not hold.
    items: Option<&'static str>,
}

/// Before the name of its elements, in the (serde) name of a newtype around a list:
/// `#[serde(rename = "$wire::Items/groupId")] struct Groups(Vec<String>)`. Of
/// EC2's answers, the groups of a launch template's interfaces are spelled so.
const ITEMS: &str = "$wire::Items/";

/// Before the name of a member that goes into a header of its own:
/// `#[serde(rename = "$wire::Header/Location")]`.
const HEADER: &str = "$wire::Header/";

#[derive(PartialEq)]
enum Wrote {
    Element,
    /// `None` and units: the element itself goes too.
    Nothing,
    /// A repeated list has written one element per item, and wants no other.
    Siblings,
}

impl Writer {
    fn element<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        let start = self.xml.len();
        open(&mut self.xml, name, "");
        let outer = (self.tag, self.open);
        (self.tag, self.open) = (start, self.xml.len());
        let wrote = value.serialize(&mut *self)?;
        let content = self.open;
        (self.tag, self.open) = outer;
        match wrote {
            Wrote::Nothing => self.xml.truncate(start),
            Wrote::Siblings => {}
            Wrote::Element if self.xml.len() == content && !self.kept_since(content) => {
                self.xml.truncate(content - 1);
                self.xml.push_str("/>");
            }
            Wrote::Element => close(&mut self.xml, name),
        }
        Ok(())
    }

    fn kept_since(&self, place: usize) -> bool {
        self.kept.last().is_some_and(|(at, _)| *at >= place)
    }

    /// Puts an attribute into the start tag that was written last.
    fn attribute<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        if self.xml.len() != self.open || !self.xml.ends_with('>') {
            return Err(ser::Error::custom(format_args!(
                "attribute {name} comes after an element"
            )));
        }
        let start = self.open - 1;
        self.xml.truncate(start);
        write!(self.xml, " {name}=\"")?;
        if value.serialize(&mut *self)? == Wrote::Nothing {
            self.xml.truncate(start);
        } else {
            self.xml.push('"');
        }
        self.xml.push('>');
        self.open = self.xml.len();
        Ok(())
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        match name.strip_prefix('@') {
            Some(name) => self.attribute(name, value),
            None => self.element(name, value),
        }
    }

    /// A member that REST puts into a header; its value has nothing to escape.
    fn header<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let start = self.xml.len();
        if value.serialize(&mut *self)? != Wrote::Nothing {
            self.headers.push((name, self.xml.split_off(start)));
        }
        Ok(())
    }

    fn integer(&mut self, value: impl itoa::Integer) -> Result<Wrote, Error> {
        self.xml.push_str(itoa::Buffer::new().format(value));
        Ok(Wrote::Element)
    }

    /// As Java prints it, which AWS does: always with a fraction, and no `inf`.
    fn float(&mut self, value: f64) -> Result<Wrote, Error> {
        match value {
            v if v.is_nan() => self.xml.push_str("NaN"),
            f64::INFINITY => self.xml.push_str("Infinity"),
            f64::NEG_INFINITY => self.xml.push_str("-Infinity"),
            v => write!(self.xml, "{v:?}")?,
        }
        Ok(Wrote::Element)
    }
}

fn unsupported<T>(what: &str) -> Result<T, Error> {
    Err(ser::Error::custom(format_args!(
        "{what} has no form in AWS's XML"
    )))
}

macro_rules! integers {
    ($($method:ident $type:ty,)*) => { $(
        fn $method(self, v: $type) -> Result<Wrote, Error> {
            self.integer(v)
        }
    )* };
}

impl<'a> ser::Serializer for &'a mut Writer {
    type Ok = Wrote;
    type Error = Error;
    type SerializeSeq = ListWriter<'a>;
    type SerializeTuple = ListWriter<'a>;
    type SerializeTupleStruct = Impossible<Wrote, Error>;
    type SerializeTupleVariant = Impossible<Wrote, Error>;
    type SerializeMap = MapWriter<'a>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<Wrote, Error>;

    fn serialize_bool(self, v: bool) -> Result<Wrote, Error> {
        self.xml.push_str(if v { "true" } else { "false" });
        Ok(Wrote::Element)
    }

    integers! {
        serialize_i8 i8,
        serialize_i16 i16,
        serialize_i32 i32,
        serialize_i64 i64,
        serialize_u8 u8,
        serialize_u16 u16,
        serialize_u32 u32,
        serialize_u64 u64,
    }

    fn serialize_f32(self, v: f32) -> Result<Wrote, Error> {
        if v.is_finite() {
            write!(self.xml, "{v:?}")?;
            return Ok(Wrote::Element);
        }
        self.float(f64::from(v))
    }

    fn serialize_f64(self, v: f64) -> Result<Wrote, Error> {
        if std::mem::take(&mut self.in_timestamp) {
            push_iso8601(&mut self.xml, v, self.style.millis)?;
            return Ok(Wrote::Element);
        }
        self.float(v)
    }

    fn serialize_char(self, v: char) -> Result<Wrote, Error> {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, v: &str) -> Result<Wrote, Error> {
        push_escaped(&mut self.xml, v);
        Ok(Wrote::Element)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, v: &T) -> Result<Wrote, Error> {
        write!(Escaping(&mut self.xml), "{v}")?;
        Ok(Wrote::Element)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<Wrote, Error> {
        unsupported("a byte string that is no Blob")
    }

    fn serialize_none(self) -> Result<Wrote, Error> {
        Ok(Wrote::Nothing)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, v: &T) -> Result<Wrote, Error> {
        v.serialize(self)
    }

    fn serialize_unit(self) -> Result<Wrote, Error> {
        Ok(Wrote::Nothing)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Wrote, Error> {
        Ok(Wrote::Nothing)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Wrote, Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        v: &T,
    ) -> Result<Wrote, Error> {
        if name == WRITTEN {
            let at = self.xml.len();
            let handed = HANDED.take().filter(|text| !text.is_empty());
            self.kept.extend(handed.map(|text| (at, text)));
            return Ok(Wrote::Element);
        }
        self.in_timestamp = name == timestamp::NEWTYPE;
        self.items = name.strip_prefix(ITEMS);
        v.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Wrote, Error> {
        unsupported("an enum with data")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<ListWriter<'a>, Error> {
        let (name, wrote) = match self.style.lists {
            Lists::Wrapped(item) => {
                let item = self.items.take().unwrap_or(item);
                (Cow::Borrowed(item), Wrote::Element)
            }
            Lists::Repeated => {
                // Take back the start tag; every item writes its own.
                let tag = self.xml.split_off(self.tag);
                let name = tag.trim_matches(['<', '>']);
                if name.is_empty() {
                    return unsupported("a list without a name");
                }
                (Cow::Owned(name.to_owned()), Wrote::Siblings)
            }
        };
        Ok(ListWriter {
            writer: self,
            name,
            wrote,
        })
    }

    fn serialize_tuple(self, len: usize) -> Result<ListWriter<'a>, Error> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Error> {
        unsupported("a tuple struct")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        unsupported("an enum with data")
    }

    /// serde writes a struct with flattened parts as a map of unknown length, and
    /// every collection as one of known length: that is how the two are told apart.
    fn serialize_map(self, len: Option<usize>) -> Result<MapWriter<'a>, Error> {
        Ok(MapWriter {
            writer: self,
            is_struct: len.is_none(),
            key: None,
        })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        unsupported("an enum with data")
    }
}

impl ser::SerializeStruct for &mut Writer {
    type Ok = Wrote;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        v: &T,
    ) -> Result<(), Error> {
        match name.strip_prefix(HEADER) {
            Some(name) => self.header(name, v),
            None => self.field(name, v),
        }
    }

    fn end(self) -> Result<Wrote, Error> {
        Ok(Wrote::Element)
    }
}

struct ListWriter<'a> {
    writer: &'a mut Writer,
    /// Of every item.
    name: Cow<'static, str>,
    wrote: Wrote,
}

impl ser::SerializeSeq for ListWriter<'_> {
    type Ok = Wrote;
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Error> {
        self.writer.element(&self.name, v)
    }

    fn end(self) -> Result<Wrote, Error> {
        Ok(self.wrote)
    }
}

impl ser::SerializeTuple for ListWriter<'_> {
    type Ok = Wrote;
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Error> {
        self.writer.element(&self.name, v)
    }

    fn end(self) -> Result<Wrote, Error> {
        Ok(self.wrote)
    }
}

struct MapWriter<'a> {
    writer: &'a mut Writer,
    is_struct: bool,
    key: Option<String>,
}

impl ser::SerializeMap for MapWriter<'_> {
    type Ok = Wrote;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        // Keys are names or short strings; maps are rare in these protocols.
        let start = self.writer.xml.len();
        if self.is_struct {
            // A field's name is no content: written raw, then taken back.
            key.serialize(&mut *self.writer)?;
            self.key = Some(self.writer.xml.split_off(start));
            return Ok(());
        }
        self.writer.xml.push_str("<entry>");
        self.writer.element("key", key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), Error> {
        if self.is_struct {
            let name = self.key.take().unwrap_or_default();
            return self.writer.field(&name, v);
        }
        self.writer.element("value", v)?;
        close(&mut self.writer.xml, "entry");
        Ok(())
    }

    fn end(self) -> Result<Wrote, Error> {
        Ok(Wrote::Element)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    #[test]
    fn what_is_kept_comes_in_at_its_place_uncopied() {
        #[derive(Serialize)]
        struct Answer {
            set: Vec<Written>,
            none: Vec<Written>,
            after: u8,
        }
        let kept = |xml: &str| Written::from(xml.to_owned());
        let answer = Answer {
            set: vec![kept("<a>1</a>"), kept(""), kept("<b/>")],
            none: vec![],
            after: 1,
        };
        let mut out = Text::default();
        write_fields(&mut out, &answer, EC2).unwrap();
        let body = Body::from(out);
        let whole =
            "<set><item><a>1</a></item><item/><item><b/></item></set><none/><after>1</after>";
        assert_eq!(body.to_vec(), whole.as_bytes());
        let pieces = body.into_pieces();
        let shared = |w: &Written| pieces.iter().any(|p| p.as_ptr() == w.0.as_ptr());
        assert!(shared(&answer.set[0]) && shared(&answer.set[2]));
        fields(&answer, EC2).unwrap_err();
        assert_eq!(joined(&answer, EC2).unwrap(), kept(whole));
        let items = joined(&["a", "b"], EC2).unwrap();
        assert_eq!(items, kept("<item>a</item><item>b</item>"));
    }
}
