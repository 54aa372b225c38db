//! The `Range` header: one range of bytes; several are answered with the whole, as AWS does.

/// First byte and length.
pub type Span = (u64, u64);

#[derive(Debug, PartialEq)]
pub enum Range {
    Whole,
    Part(Span),
    Unsatisfiable,
}

pub fn parse(header: Option<&str>, size: u64) -> Range {
    let spec = header.and_then(|header| header.trim().strip_prefix("bytes="));
    let Some((first, last)) = spec.and_then(|spec| spec.split_once('-')) else {
        return Range::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| !text.starts_with('+'));
    let (first, end) = match (number(first), number(last)) {
        // The last so many bytes.
        (None, Some(length)) if first.is_empty() => (size.saturating_sub(length), size),
        (Some(first), None) if last.is_empty() => (first, size),
        (Some(first), Some(last)) if first <= last => (first, size.min(last.saturating_add(1))),
        _ => return Range::Whole,
    };
    match end.checked_sub(first) {
        Some(length) if length > 0 => Range::Part((first, length)),
        _ => Range::Unsatisfiable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let check = |header: &str, size: u64, expected: Range| {
            assert_eq!(parse(Some(header), size), expected, "{header} of {size}");
        };
        check("bytes=0-4", 10, Range::Part((0, 5)));
        check("bytes=5-", 10, Range::Part((5, 5)));
        check("bytes=-3", 10, Range::Part((7, 3)));
        check("bytes=-30", 10, Range::Part((0, 10)));
        check("bytes=0-99", 10, Range::Part((0, 10)));
        check("bytes=0-18446744073709551615", 10, Range::Part((0, 10)));
        check("bytes=10-", 10, Range::Unsatisfiable);
        check("bytes=-0", 10, Range::Unsatisfiable);
        check("bytes=0-0", 0, Range::Unsatisfiable);
        check("bytes=4-2", 10, Range::Whole);
        check("bytes=0-1,3-4", 10, Range::Whole);
        check("bytes=+1-4", 10, Range::Whole);
        check("lines=0-1", 10, Range::Whole);
        assert_eq!(parse(None, 10), Range::Whole);
    }
}
