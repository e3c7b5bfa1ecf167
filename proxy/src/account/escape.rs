//! Text from clients, made harmless for a line of log.
//!
//! Whatever a client sends, one request stays one line and every quote closes where the format says (row 77 of the attack
//! catalogue: CR, LF, ESC, quotes and bytes that are no UTF-8 in targets and `User-Agent`).

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn push_hex(out: &mut Vec<u8>, byte: u8) {
    let digit = |n: u8| HEX.get(usize::from(n & 15)).copied().unwrap_or(b'0');
    out.extend_from_slice(&[digit(byte >> 4), digit(byte)]);
}

/// Appends `text`, each byte that is not `plain` as `mark` and two hexadecimal digits.
fn escaped(out: &mut Vec<u8>, text: &[u8], mark: &[u8], plain: impl Fn(u8) -> bool) {
    let mut rest = text;
    // Nearly all text is plain from end to end, and copied in one go.
    while let Some(place) = rest.iter().position(|byte| !plain(*byte)) {
        let (before, from) = rest.split_at(place);
        out.extend_from_slice(before);
        let Some((byte, after)) = from.split_first() else { return };
        out.extend_from_slice(mark);
        push_hex(out, *byte);
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// Appends `text` for use between quotes, as nginx does: printable ASCII as it is, `"`, `\` and every other byte as `\xHH`.
pub(super) fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    escaped(out, text, b"\\x", |byte| matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\');
}

/// Appends `text` for use between blanks: as [`quoted`], but percent-encoded (RFC 3986 section 2.1), blanks too, so that
/// columns stay columns. `%` itself stays: the text is a URL already.
pub(super) fn column(out: &mut Vec<u8>, text: &[u8]) {
    escaped(out, text, b"%", |byte| matches!(byte, 0x21..=0x7e) && !matches!(byte, b'"' | b'\\' | b'<' | b'>'));
}

/// Appends `text` as a JSON string, quotes included. Bytes that are no UTF-8 become the text `\xHH`, and so do characters
/// that JSON lets through but a terminal obeys: DEL, C1 controls, line separators and direction overrides.
pub(super) fn json(out: &mut Vec<u8>, text: &[u8]) {
    if text.iter().all(|byte| matches!(byte, 0x20..=0x7e) && *byte != b'"' && *byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
        return;
    }
    let clean = match std::str::from_utf8(text) {
        Ok(text) if !text.chars().any(obeyed_by_terminals) => {
            json_str(out, text);
            return;
        }
        _ => visible(text),
    };
    json_str(out, &clean);
}

/// Appends `text` as a JSON string, quotes included.
pub(super) fn json_str(out: &mut Vec<u8>, text: &str) {
    let start = out.len();
    // Writing a string into memory has no way to fail; should it find one, the line stays valid JSON.
    if serde_json::to_writer(&mut *out, text).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"\"\"");
    }
}

fn visible(text: &[u8]) -> String {
    let mut hex = Vec::new();
    let mut clean = String::with_capacity(text.len() + 16);
    let mut push = |clean: &mut String, byte: u8| {
        hex.clear();
        push_hex(&mut hex, byte);
        clean.push_str("\\x");
        clean.push_str(&String::from_utf8_lossy(&hex));
    };
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            if obeyed_by_terminals(character) {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    push(&mut clean, byte);
                }
            } else {
                clean.push(character);
            }
        }
        for &byte in chunk.invalid() {
            push(&mut clean, byte);
        }
    }
    clean
}

/// Beyond what JSON escapes anyway (U+0000 to U+001F).
fn obeyed_by_terminals(character: char) -> bool {
    matches!(character, '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
