//! Writes JSON into memory, which cannot fail.

use serde_json::Value;

use crate::event::Scalar;

pub(super) fn write_field(out: &mut Vec<u8>, name: &str, value: &Value) {
    write_name(out, name);
    write_value(out, value);
}

pub(super) fn write_name(out: &mut Vec<u8>, name: &str) {
    write_string(out, name);
    out.push(b':');
}

pub(super) fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => write_string(out, text),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => write_integer(out, number),
            (_, Some(number)) => write_integer(out, number),
            _ => write_any(out, number),
        },
        value => write_any(out, value),
    }
}

pub(super) fn write_scalar(out: &mut Vec<u8>, value: Scalar<'_>) {
    match value {
        Scalar::Text(text) => write_string(out, text),
        Scalar::Word(word) => write_string(out, word),
        Scalar::Value(value) => write_value(out, value),
        Scalar::Pairs(pairs) => {
            for (place, (name, text)) in pairs.iter().enumerate() {
                out.push(if place == 0 { b'{' } else { b',' });
                write_name(out, name);
                write_string(out, text);
            }
            out.extend_from_slice(if pairs.is_empty() { b"{}" } else { b"}" });
        }
    }
}

fn write_integer(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    // One byte after the other without a way out in between: many are looked at in one step.
    let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    let is_plain = !text.bytes().fold(false, |any, byte| any | is_special(byte));
    if is_plain {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        write_any(out, text);
    }
}

fn write_any(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok());
}
