//! What was expected held against what came: `*` in a text stands for anything.

use serde_json::Value;

pub(crate) fn fits(pattern: &Value, value: &Value) -> bool {
    match (pattern, value) {
        (Value::String(pattern), Value::String(text)) => fits_text(pattern, text),
        (Value::String(pattern), Value::Number(number)) => fits_text(pattern, &number.to_string()),
        (Value::Object(patterns), Value::Object(values)) => {
            let fits_one = |(key, pattern): (&String, &Value)| {
                values.iter().any(|(name, value)| fits_text(key, name) && fits(pattern, value))
            };
            patterns.len() == values.len() && patterns.iter().all(fits_one)
        }
        (Value::Array(patterns), Value::Array(values)) => {
            patterns.len() == values.len() && patterns.iter().zip(values).all(|(p, v)| fits(p, v))
        }
        (pattern, value) => pattern == value,
    }
}

pub(crate) fn fits_text(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((begin, rest)) => text.strip_prefix(begin).is_some_and(|text| {
            let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            starts.any(|at| fits_text(rest, &text[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_star_stands_for_anything_and_nothing_else_does() {
        assert!(fits_text("virtio=*,bridge=vmbr0", "virtio=AA:BB,bridge=vmbr0"));
        assert!(fits_text("*", ""));
        assert!(!fits_text("virtio=*,bridge=vmbr0", "virtio=AA:BB,bridge=vmbr1"));
        assert!(!fits_text("done", "done twice"));
    }

    #[test]
    fn more_or_less_than_what_was_expected_does_not_fit() {
        assert!(fits(&json!({"a": "*", "b": null}), &json!({"a": 7, "b": null})));
        assert!(!fits(&json!({"a": 1}), &json!({"a": 1, "b": 2})));
        assert!(!fits(&json!({"a": 1, "b": 2}), &json!({"a": 1})));
        assert!(!fits(&json!([1, 2]), &json!([1])));
    }
}
