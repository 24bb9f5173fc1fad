//! Perl's regular expressions, as far as the schema uses them.
use regex::Regex;

/// Whether the whole value matches. A pattern that only Perl understands accepts everything: to
/// refuse what the real system takes would be worse than to be too lenient.
pub(super) fn matches(pattern: &str, value: &str) -> bool {
    Regex::new(&format!("^(?:{})$", to_rust(pattern))).map_or(true, |regex| regex.is_match(value))
}

/// Perl prints a compiled pattern as `(?^flags:…)`; the caret only resets flags that are never set here.
fn to_rust(pattern: &str) -> String {
    pattern.replace("(?^u:", "(?:").replace("(?^", "(?").replace("\\0", "\\x00").replace("{,", "{0,")
}

/// A pattern in words; one that is rarely met stands for itself.
pub(super) fn in_words(pattern: &str) -> String {
    match IN_WORDS.iter().find(|(known, _)| *known == pattern) {
        Some((_, words)) => (*words).to_owned(),
        None => format!("text that matches `{}`", to_rust(pattern)),
    }
}

const MACHINE: &str = r"(pc|pc(-i440fx)?-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?|q35|pc-q35-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?|virt(?:-\d+(\.\d+)+)?(\+pve\d+)?)";

const IN_WORDS: [(&str, &str); 20] = [
    (r"[A-Za-z][A-Za-z0-9\-\_]+", "a letter followed by letters, digits, `-` or `_`"),
    (r"(?^:[A-Za-z][A-Za-z0-9\.\-_]+)", "a letter followed by letters, digits, `.`, `-` or `_`"),
    (r"[a-zA-Z][a-zA-Z0-9]*[a-zA-Z0-9]", "a letter followed by letters and digits"),
    (
        r"[a-zA-Z][a-zA-Z0-9_-]*[a-zA-Z0-9]",
        "a letter, then letters, digits, `_` or `-`, and no sign at the end",
    ),
    (r"[a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?", "letters, digits and `-`, with no `-` at either end"),
    (r"[1-9][0-9]{2,8}-\d{1,9}", "a guest id and a number, such as 100-0"),
    (MACHINE, "a machine type such as q35 or pc-q35-9.2+pve1"),
    (r"\S+", "text without blanks"),
    (
        r"([A-Fa-f0-9]{2}:){31}[A-Fa-f0-9]{2}",
        "a SHA-256 fingerprint: 32 pairs of hexadecimal digits with `:` between",
    ),
    (r"\+?\d+(\.\d+)?[KMGT]?", "a size such as 32G, or +5G to add so much"),
    (r"^(\d+(\.\d+)?)([KMGT])?$", "a size such as 32G"),
    (r"(ide|sata|scsi|virtio)\d+", "a disk such as scsi0"),
    (r"0[0-7]{3}", "an octal mode such as 0755"),
    (r"\d{1,2}:\d{1,2}", "a time such as 02:30"),
    (r"^https?://.*", "an http or https URL"),
    (r"https?://.*", "an http or https URL"),
    (r"(?^:^(0x)[0-9a-fA-F]{16})", "a world wide name: 0x and 16 hexadecimal digits"),
    (r"(?^:\d+(?:-\d+)?(?:;\d+(?:-\d+)?)*)", "numbers or ranges of them, such as 0-3;5"),
    (r"(?:[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}|[01])", "a UUID, 0 or 1"),
    (
        r"(now|\d{4}-\d{1,2}-\d{1,2}(T\d{1,2}:\d{1,2}:\d{1,2})?)",
        "`now` or a moment such as 2025-01-31T12:00:00",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_perl_pattern_is_understood() {
        assert!(matches("(?^:^[^:/\\s]+$)", "mytoken"));
        assert!(!matches("(?^:^[^:/\\s]+$)", "my token"));
    }

    #[test]
    fn the_whole_value_has_to_match() {
        assert!(!matches("\\+?\\d+[KMGT]?", "5G and more"));
    }

    #[test]
    fn patterns_that_are_put_into_words_are_those_of_the_schema() {
        let table =
            miniz_oxide::inflate::decompress_to_vec_zlib(include_bytes!("operations.json.zz")).unwrap();
        let table = String::from_utf8(table).unwrap();
        for (pattern, _) in IN_WORDS {
            let written = serde_json::to_string(pattern).unwrap();
            assert!(table.contains(&format!("\"pattern\":{written}")), "{pattern}");
        }
    }
}
