//! XML documents as trees: read from a request, looked into, written back.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion, escape};

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Deeper than any document of AWS's.
const MAX_DEPTH: usize = 16;
/// DeleteObjects with a thousand keys of a kilobyte, escaped, is the largest.
const MAX_SIZE: usize = 8 << 20;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Element {
    pub name: String,
    /// `xsi:type`, which grantees have.
    pub kind: Option<String>,
    /// Empty where there are children.
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    pub fn text(name: &str, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::new(name)
        }
    }

    pub fn with(mut self, child: Element) -> Self {
        self.children.push(child);
        self
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of a child.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// A whole document, as AWS gives it back.
    pub fn document_in(&self, namespace: &str) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.write(&mut out, Some(namespace));
        out
    }

    fn write(&self, out: &mut String, namespace: Option<&str>) {
        out.push('<');
        out.push_str(&self.name);
        if let Some(namespace) = namespace {
            out.push_str(&format!(" xmlns=\"{namespace}\""));
        }
        if let Some(kind) = &self.kind {
            let kind = escape::escape(kind.as_str());
            out.push_str(&format!(" xmlns:xsi=\"{XSI}\" xsi:type=\"{kind}\""));
        }
        if self.text.is_empty() && self.children.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        out.push_str(&escape::escape(self.text.as_str()));
        for child in &self.children {
            child.write(out, None);
        }
        out.push_str("</");
        out.push_str(&self.name);
        out.push('>');
    }

    /// Reads a document; none if it is no XML, or more than any call needs.
    pub fn read(body: &[u8]) -> Option<Self> {
        read(body)
    }
}

fn read(body: &[u8]) -> Option<Element> {
    if body.len() > MAX_SIZE {
        return None;
    }
    let mut reader = Reader::from_str(std::str::from_utf8(body).ok()?);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) if root.is_none() && open.len() < MAX_DEPTH => {
                open.push(element(&start)?);
            }
            Event::Empty(start) if root.is_none() => {
                let element = element(&start)?;
                finish(element, &mut open, &mut root);
            }
            Event::Start(_) | Event::Empty(_) => return None,
            Event::End(_) => {
                let mut element = open.pop()?;
                if !element.children.is_empty() {
                    // Indentation between elements; other text there means nothing.
                    element.text.clear();
                }
                finish(element, &mut open, &mut root);
            }
            Event::Text(text) => push_text(&mut open, &text.xml10_content())?,
            Event::CData(text) => push_text(&mut open, &text.xml10_content())?,
            Event::GeneralRef(name) => {
                let mut buffer = [0; 4];
                let text = match name.resolve_char_ref().ok()? {
                    Some(char) => &*char.encode_utf8(&mut buffer),
                    None => escape::resolve_predefined_entity(&name)?,
                };
                push_text(&mut open, text)?;
            }
            // Entities of one's own have no place here.
            Event::DocType(_) => return None,
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return if open.is_empty() { root } else { None },
        }
    }
}

fn element(start: &BytesStart<'_>) -> Option<Element> {
    let mut element = Element::new(start.local_name().as_ref());
    for attribute in start.attributes() {
        let attribute = attribute.ok()?;
        if attribute.key.local_name().as_ref() == "type" {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
            element.kind = Some(value.into_owned());
        }
    }
    Some(element)
}

fn finish(element: Element, open: &mut [Element], root: &mut Option<Element>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => *root = Some(element),
    }
}

/// Text outside the root must be space.
fn push_text(open: &mut [Element], text: &str) -> Option<()> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        let check = |input: &str, expected: Option<&str>| {
            let written = read(input.as_bytes()).map(|element| {
                let mut out = String::new();
                element.write(&mut out, None);
                out
            });
            assert_eq!(written.as_deref(), expected, "{input}");
        };
        check("<a/>", Some("<a/>"));
        check("<a></a>", Some("<a/>"));
        check(
            "<?xml version='1.0'?>\n<a xmlns='u'>\n <b>x</b>\n</a>\n",
            Some("<a><b>x</b></a>"),
        );
        check(
            "<a><b> x &amp; &#60;y&gt; </b></a>",
            Some("<a><b> x &amp; &lt;y&gt; </b></a>"),
        );
        check("<a><![CDATA[<b>]]></a>", Some("<a>&lt;b&gt;</a>"));
        check("<p:a><p:b/></p:a>", Some("<a><b/></a>"));
        check("", None);
        check("text", None);
        check("<a>", None);
        check("<a></b>", None);
        check("<a/><b/>", None);
        check("<a>&unknown;</a>", None);
        check("<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", None);
        check(&"<a>".repeat(10_000), None);
    }
}
