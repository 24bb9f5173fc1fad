//! YAML in and out, with bounds: what a file costs to read does not depend on who wrote it.

use serde_json::Value;

/// Reads one document.
///
/// Aliases are bounded so that a bomb (a few lines that unfold to gigabytes) is refused as soon as it begins to
/// unfold: 1,000 events replayed times 16 KiB remembered is the most that they can make of a file.
pub fn parse(text: &str) -> Result<Value, String> {
    // YAML 1.2: `yes` is a word and `0777` is not 511.
    parse_as(text, false)
}

/// The fields that kubectl and Argo CD take for something else, because they speak YAML 1.1, each with what they take
/// it for.
pub fn read_otherwise(text: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    if let (Ok(here), Ok(there)) = (parse(text), parse_as(text, true)) {
        differences("", &here, &there, &mut found);
    }
    found
}

fn differences(path: &str, here: &Value, there: &Value, found: &mut Vec<(String, Value)>) {
    match (here, there) {
        (Value::Object(here), Value::Object(there)) => {
            for (name, value) in here {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                differences(&path, value, there.get(name).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(here), Value::Array(there)) => {
            for (index, (here, there)) in here.iter().zip(there).enumerate() {
                differences(&format!("{path}[{index}]"), here, there, found);
            }
        }
        _ if here != there => found.push((path.to_owned(), there.clone())),
        _ => {}
    }
}

fn parse_as(text: &str, yaml_1_1: bool) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_aliases: 100,
            max_anchors: 100,
            max_recorded_anchor_events: 1_000,
            max_recorded_anchor_bytes: 16 * 1024,
            max_nodes: 50_000,
            max_events: 100_000,
            max_depth: 32,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 1_000 },
        strict_booleans: !yaml_1_1,
        legacy_octal_numbers: yaml_1_1,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.without_snippet().to_string())
}

/// Writes one document for people to read.
pub fn print(value: &Value) -> Result<String, String> {
    serde_saphyr::to_string(value).map_err(|error| error.to_string())
}

/// The documents of a file, each with the number of its first line.
///
/// Cut at `---` before anything is parsed (YAML allows that line nowhere else, not even within a text), so that a
/// broken document leaves its neighbours readable.
pub fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut documents = Vec::new();
    let (mut begin, mut begin_line, mut offset) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if marker && offset > begin {
            documents.push((begin_line, &text[begin..offset]));
            (begin, begin_line) = (offset, index + 1);
        }
        offset += line.len();
    }
    documents.push((begin_line, &text[begin..]));
    documents
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_broken_document_leaves_its_neighbours_readable() {
        let text = "a: 1\n--- # second\nb: [\n---\nc: |\n  text\n  --- not a marker\n";
        let documents = documents(text);
        assert_eq!(documents.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2, 4]);
        assert_eq!(parse(documents[0].1), Ok(json!({ "a": 1 })));
        assert!(parse(documents[1].1).is_err());
        assert_eq!(parse(documents[2].1), Ok(json!({ "c": "text\n--- not a marker\n" })));
    }

    #[test]
    fn words_stay_words() {
        assert_eq!(parse("[yes, on, '1', 1e, 5]").unwrap(), json!(["yes", "on", "1", "1e", 5]));
        assert_ne!(parse("0777").unwrap(), json!(0o777));
    }

    #[test]
    fn what_yaml_1_1_reads_otherwise_is_found_unless_it_is_quoted() {
        let text = "a: {b: yes, c: 'no', d: [on, true, 5]}\ne: 0777\nf: \"off\"\ng: 1_000\nh: no idea\n";
        let expected = [("a.b", json!(true)), ("a.d[0]", json!(true)), ("e", json!(511))];
        assert_eq!(read_otherwise(text), expected.map(|(path, value)| (path.to_owned(), value)));
    }

    #[test]
    fn a_key_that_is_there_twice_is_refused() {
        assert!(parse("a: 1\na: 2\n").unwrap_err().contains("duplicate"));
    }

    #[test]
    fn an_alias_bomb_is_refused_before_it_goes_off() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let previous = format!("*a{}", i - 1);
            bomb += &format!("a{i}: &a{i} [{}]\n", vec![previous; 9].join(", "));
        }
        let why = parse(&bomb).unwrap_err();
        assert!(why.contains("budget") || why.contains("alias"), "{why}");
    }

    #[test]
    fn a_deep_document_is_refused() {
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&format!("{}1{}", "{a: ".repeat(5000), "}".repeat(5000))).is_err());
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            ".*",
            "[-:#?&*!|>'\"%@` \n\t~0-9a-z]{0,12}",
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("1e3".to_owned()),
            Just("---\n".to_owned()),
            Just("2024-01-01".to_owned()),
            Just("0x1f".to_owned()),
            Just(" a\n\n b\n".to_owned()),
            Just("<<".to_owned()),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e300..1e300).prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..4)
                    .prop_map(|m| m.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        /// Whatever a status says, it must come back as it was.
        #[test]
        fn what_is_written_is_read_back(value in any_value()) {
            let text = print(&value).unwrap();
            prop_assert_eq!(parse(&text), Ok(value), "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            for (_, document) in documents(&text) {
                let _ = parse(document);
            }
        }
    }
}
