//! One way to write JSON: two spaces, keys sorted, one line for what holds only scalars. So a diff shows what changed.

use serde_json::Value;

/// Longer lines are broken up.
const WIDTH: usize = 100;

/// The text of a JSON file, with its final newline.
pub fn pretty(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out.push('\n');
    out
}

fn write(out: &mut String, value: &Value, indent: usize) {
    if let Some(line) = one_line(value).filter(|line| line.len() + indent <= WIDTH) {
        return out.push_str(&line);
    }
    let inner = " ".repeat(indent + 2);
    let separate = |out: &mut String, position: usize| {
        out.push_str(if position == 0 { "\n" } else { ",\n" });
        out.push_str(&inner);
    };
    match value {
        Value::Object(fields) => {
            out.push('{');
            for (position, (key, value)) in fields.iter().enumerate() {
                separate(out, position);
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push_str(": ");
                write(out, value, indent + 2);
            }
        }
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                separate(out, position);
                write(out, item, indent + 2);
            }
        }
        scalar => return out.push_str(&scalar.to_string()),
    }
    out.push('\n');
    out.push_str(&inner[2..]);
    out.push(if value.is_object() { '}' } else { ']' });
}

/// `None` where a value holds objects or arrays itself.
fn one_line(value: &Value) -> Option<String> {
    let scalar =
        |value: &Value| (!value.is_object() && !value.is_array()).then(|| value.to_string());
    match value {
        Value::Object(fields) if fields.is_empty() => Some("{}".into()),
        Value::Object(fields) => {
            let fields: Option<Vec<_>> = fields
                .iter()
                .map(|(key, value)| {
                    Some(format!("{}: {}", Value::from(key.as_str()), scalar(value)?))
                })
                .collect();
            Some(format!("{{ {} }}", fields?.join(", ")))
        }
        Value::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(scalar).collect();
            Some(format!("[{}]", items?.join(", ")))
        }
        scalar => Some(scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn short_and_flat_stays_on_one_line() {
        let value = json!({"b": {"type": "long"}, "a": [1, "x"], "empty": {}, "deep": {"x": {"y": [{}]}}, "long": ["y".repeat(60), "z".repeat(60)]});
        let text = pretty(&value);
        assert!(
            text.starts_with(
                "{\n  \"a\": [1, \"x\"],\n  \"b\": { \"type\": \"long\" },\n  \"deep\": {\n"
            ),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
