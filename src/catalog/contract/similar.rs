//! Names that a misspelt one may stand for.

/// So many are read in full; of more, only the nearest help.
const COMPLETE: usize = 16;
const NEAREST: usize = 6;

/// The names in a sentence, those most like the given one first if they are too many.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>, given: &str) -> String {
    let mut names: Vec<&str> = names.collect();
    if names.len() <= COMPLETE {
        return names.join(", ");
    }
    names.sort_by_key(|name| distance(name, given));
    format!("{} and {} others", names[..NEAREST].join(", "), names.len() - NEAREST)
}

/// How many letters have to be changed, added or taken away; of garbage, only the beginning counts.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_names_are_all_listed_in_their_order() {
        assert_eq!(listed(["b", "a"].into_iter(), "a"), "b, a");
    }

    #[test]
    fn of_many_names_the_most_similar_come_first() {
        let names: Vec<String> =
            (100..200).map(|n| format!("option{n}")).chain(["cache".to_owned()]).collect();
        let text = listed(names.iter().map(String::as_str), "chache");
        assert!(text.starts_with("cache, ") && text.ends_with(" and 95 others"), "{text}");
    }
}
