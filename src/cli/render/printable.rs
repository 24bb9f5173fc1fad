//! What others wrote, made safe to look at: nothing in it moves the cursor, hides, or swaps the order of what is read.

use std::ops::RangeInclusive;

use unicode_width::UnicodeWidthChar;

/// Characters that show nothing and yet change how the text around them looks or compares.
const INVISIBLE: &[RangeInclusive<char>] = &[
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{13430}'..='\u{1343f}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

/// As many accents as any script puts on one letter; more of them cover the lines above and below.
const MOST_ACCENTS: usize = 3;

/// One line. What can't be seen is spelled out as `<U+202E>`, so that whoever reads knows that it is there.
pub(in crate::cli) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut accents = 0;
    for c in text.trim_end().chars() {
        accents = if c.width() == Some(0) { accents + 1 } else { 0 };
        match c {
            '\n' | '\t' => shown.push(' '),
            c if is_hidden(c) || accents > MOST_ACCENTS => {
                shown.push_str(&format!("<U+{:04X}>", u32::from(c)));
            }
            c => shown.push(c),
        }
    }
    shown
}

fn is_hidden(c: char) -> bool {
    let is_odd_space = c.is_whitespace() && c != ' ';
    c.is_control() || is_odd_space || INVISIBLE.iter().any(|range| range.contains(&c))
}

/// Lines of so many columns at most. Breaks at spaces; a word that is longer is broken where the line ends, because a
/// terminal would do it too, and begin the next line with whatever comes then.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 && used + 1 + columns_of(word) <= columns {
            line.push(' ');
            used += 1;
        } else if index > 0 {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or(0);
            if used + wide > columns {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(c);
            used += wide;
        }
    }
    lines.push(line);
    lines
}

/// How many columns of a terminal it takes.
pub(in crate::cli) fn columns_of(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_hides_or_swaps_text_is_spelled_out() {
        for (written, shown) in [
            ("safe \u{202e}kcatta", "safe <U+202E>kcatta"),
            ("a\u{2066}b\u{2069}c", "a<U+2066>b<U+2069>c"),
            ("al\u{200b}ice", "al<U+200B>ice"),
            ("\u{1b}[31mred", "<U+001B>[31mred"),
            ("\u{9b}31mred", "<U+009B>31mred"),
            ("one\rtwo", "one<U+000D>two"),
            ("one\u{2028}two", "one<U+2028>two"),
            ("no\u{a0}break", "no<U+00A0>break"),
            ("tag\u{e0041}", "tag<U+E0041>"),
            ("filler\u{3164}", "filler<U+3164>"),
            ("lines\nand\ttabs", "lines and tabs"),
        ] {
            assert_eq!(printable(written), shown);
        }
    }

    #[test]
    fn names_in_any_script_stay_as_they_are() {
        for name in ["Jürgen Ångström", "e\u{301}te\u{301}", "देवनागरी", "日本語", "שלום", "Nguyễn"]
        {
            assert_eq!(printable(name), name);
        }
    }

    #[test]
    fn a_heap_of_accents_covers_no_other_line() {
        let heap = format!("a{}", "\u{301}".repeat(40));
        assert!(printable(&heap).starts_with("a\u{301}\u{301}\u{301}<U+0301>"));
    }

    #[test]
    fn a_word_of_wide_letters_is_broken_at_the_column_where_a_terminal_would() {
        assert_eq!(wrapped("日本語日本語", 5), ["日本", "語日", "本語"]);
    }

    #[test]
    fn spaces_inside_a_line_are_kept() {
        assert_eq!(wrapped("a  b c", 4), ["a  b", "c"]);
    }

    proptest! {
        #[test]
        fn no_line_is_longer_than_asked_and_nothing_is_lost(text in "\\PC{0,200}", columns in 2usize..60) {
            let shown = printable(&text);
            let lines = wrapped(&shown, columns);
            let without_spaces = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(without_spaces(&lines.concat()), without_spaces(&shown));
            for line in &lines {
                prop_assert!(columns_of(line) <= columns, "{} columns: {line}", columns_of(line));
            }
        }

        #[test]
        fn nothing_that_is_printed_can_hide(text in any::<String>()) {
            prop_assert!(!printable(&text).chars().any(is_hidden));
        }
    }
}
