//! Perl's regular expressions, as far as the schema uses them.
use regex::Regex;

/// Whether the whole value matches. A pattern that only Perl understands accepts everything: a simulator that
/// refuses what the real system takes would be worse than one that is too lenient.
pub(super) fn matches(pattern: &str, value: &str) -> bool {
    Regex::new(&format!("^(?:{})$", to_rust(pattern))).map_or(true, |regex| regex.is_match(value))
}

/// Perl prints a compiled pattern as `(?^flags:…)`; the caret only resets flags that are never set here.
fn to_rust(pattern: &str) -> String {
    pattern.replace("(?^u:", "(?:").replace("(?^", "(?").replace("\\0", "\\x00")
}

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
}
