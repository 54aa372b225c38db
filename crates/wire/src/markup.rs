//! The pieces XML documents are made of: tags and escaped text, appended to a `String`.

pub(crate) const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

pub(crate) fn open(out: &mut String, name: &str, namespace: &str) {
    out.reserve(name.len() + 2);
    out.push('<');
    out.push_str(name);
    if !namespace.is_empty() {
        out.push_str(" xmlns=\"");
        push_escaped(out, namespace);
        out.push('"');
    }
    out.push('>');
}

pub(crate) fn close(out: &mut String, name: &str) {
    out.reserve(name.len() + 3);
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// Appends text that is safe in content and in quoted attributes.
///
/// What XML 1.0 has no way to spell (most control characters) becomes U+FFFD; a
/// carriage return is kept as a reference, since parsers turn a bare one into a
/// line feed.
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    // Most text has nothing to escape. Without an early end the compiler tests many bytes at once.
    if !text
        .bytes()
        .fold(false, |found, byte| found | is_special(byte))
    {
        return out.push_str(text);
    }
    let mut clean = 0;
    for (at, byte) in text.bytes().enumerate() {
        let replacement = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\r' => "&#xD;",
            b'\t' | b'\n' => continue,
            0..=0x1f => "\u{fffd}",
            // U+FFFE and U+FFFF are EF BF BE and EF BF BF; nothing else starts so and ends so.
            0xef if text[at..].starts_with(['\u{fffe}', '\u{ffff}']) => {
                out.push_str(&text[clean..at]);
                out.push('\u{fffd}');
                clean = at + 3;
                continue;
            }
            _ => continue,
        };
        out.push_str(&text[clean..at]);
        out.push_str(replacement);
        clean = at + 1;
    }
    out.push_str(&text[clean..]);
}

/// Whether a byte may begin something that has to be escaped.
fn is_special(byte: u8) -> bool {
    (byte < 0x20)
        | (byte == b'&')
        | (byte == b'<')
        | (byte == b'>')
        | (byte == b'"')
        | (byte == 0xef)
}

/// Text on its way into content, escaped as it comes.
pub(crate) struct Escaping<'a>(pub &'a mut String);

impl std::fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        push_escaped(self.0, text);
        Ok(())
    }
}

/// A whole element with nothing but text.
pub(crate) fn push_element(out: &mut String, name: &str, text: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    push_escaped(out, text);
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}
