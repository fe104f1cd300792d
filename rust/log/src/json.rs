//! The little JSON that the log needs to know: numbers, strings, the fields of one flat object.

/// Appends *value* in decimal.
pub(crate) fn push_u64(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Reads a decimal number from the front: it and what follows. No sign, no leading zero.
#[inline]
pub(crate) fn take_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (mut value, mut end) = (0_u64, 0);
    while let Some(digit @ b'0'..=b'9') = bytes.get(end) {
        if end == 19 {
            return None;
        }
        value = value * 10 + u64::from(digit - b'0');
        end += 1;
    }
    let is_padded = end > 1 && bytes[0] == b'0';
    (end > 0 && !is_padded).then(|| (value, &bytes[end..]))
}

/// Appends *text* as a JSON string, escaping only what must be, as msgspec does.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Where the JSON string that starts at *start* (at its quote) ends: the place after its quote.
pub(crate) fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Reads a whole JSON string, quotes included. Lone surrogates become U+FFFD.
pub(crate) fn parse_string(quoted: &[u8]) -> Option<String> {
    let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let text = std::str::from_utf8(inner).ok()?;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = *rest.as_bytes().get(at + 1)?;
        let mut next = at + 2;
        match escape {
            b'"' | b'\\' | b'/' => out.push(escape as char),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'u' => {
                let (symbol, used) = unicode_escape(&rest[at..])?;
                out.push(symbol);
                next = at + used;
            }
            _ => return None,
        }
        rest = rest.get(next..)?;
    }
    out.push_str(rest);
    Some(out)
}

fn unicode_escape(text: &str) -> Option<(char, usize)> {
    let unit = |from: usize| u32::from_str_radix(text.get(from..from + 4)?, 16).ok();
    let first = unit(2)?;
    if (0xd800..0xdc00).contains(&first) && text.get(6..8) == Some("\\u") {
        if let Some(second) = unit(8).filter(|u| (0xdc00..0xe000).contains(u)) {
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return Some((char::from_u32(code)?, 12));
        }
    }
    Some((char::from_u32(first).unwrap_or('\u{fffd}'), 6))
}

/// The fields of one object written without blanks: names and raw values. `None` if it is not one.
pub(crate) fn fields(object: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut found = Vec::new();
    let inner = object.strip_prefix(b"{")?.strip_suffix(b"}")?;
    let mut at = 0;
    while at < inner.len() {
        if inner[at] != b'"' {
            return None;
        }
        let name_end = string_end(inner, at)?;
        let name = &inner[at + 1..name_end - 1];
        if inner.get(name_end) != Some(&b':') {
            return None;
        }
        let value_end = value_end(inner, name_end + 1)?;
        found.push((name, &inner[name_end + 1..value_end]));
        match inner.get(value_end) {
            None => return Some(found),
            Some(b',') => at = value_end + 1,
            Some(_) => return None,
        }
    }
    found.is_empty().then_some(found)
}

/// Where the value that starts at *start* ends, before a comma or at the end of *bytes*.
pub(crate) fn value_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => break,
            _ => {}
        }
        at += 1;
    }
    (depth == 0 && at > start).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_string_comes_back() {
        let text = "a\"b\\c\n\r\t\u{8}\u{c}\u{1}\u{7f}Ó\u{1f600}";
        let mut out = Vec::new();
        push_string(&mut out, text);
        assert_eq!(parse_string(&out).as_deref(), Some(text));
        assert_eq!(string_end(&out, 0), Some(out.len()));
    }

    #[test]
    fn escapes_of_other_writers_are_read_and_lone_surrogates_replaced() {
        assert_eq!(
            parse_string(br#""\ud83d\ude00\ud83dx\/""#).as_deref(),
            Some("\u{1f600}\u{fffd}x/")
        );
        assert_eq!(parse_string(br#""\x""#), None);
    }

    #[test]
    fn the_fields_of_an_object_are_found_whatever_is_in_them() {
        let object = br#"{"a":1,"b":{"c":[1,"},"]},"d":"\"x"}"#;
        let found = fields(object).expect("an object");
        let names: Vec<&[u8]> = found.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [b"a", b"b", b"d"]);
        assert_eq!(found[1].1, br#"{"c":[1,"},"]}"#);
        assert_eq!(fields(b"{}"), Some(vec![]));
        assert_eq!(fields(br#"{"a":1"#), None);
        assert_eq!(fields(br#"{"a"}"#), None);
    }

    #[test]
    fn numbers_have_one_spelling() {
        assert_eq!(take_u64(b"017"), None);
        assert_eq!(take_u64(b"0,"), Some((0, &b","[..])));
        assert_eq!(take_u64(b"x"), None);
        let mut out = Vec::new();
        push_u64(&mut out, u64::MAX);
        assert_eq!(out, u64::MAX.to_string().as_bytes());
    }
}
