//! How far our answers agree with recorded ones, and whether that is as far as is known.
use std::collections::BTreeMap;
use std::fmt::Write;

use super::recording::Recorded;

/// A recording and the number of an exchange in it.
pub(crate) type Place = (String, u32);

/// How one exchange went.
pub(crate) struct Outcome {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) problems: Vec<String>,
    pub(crate) imitated: bool,
}

/// The simulation answers 501 to what it knows but doesn't imitate.
pub(crate) fn is_imitated(ours: &Recorded) -> bool {
    !(ours.status == 501 && ours.reason.ends_with("not implemented"))
}

/// What is wrong: differences that nobody allowed, and allowed ones that aren't any more.
pub(crate) fn verdict(outcomes: &[Outcome], allowed: &BTreeMap<Place, bool>) -> Vec<String> {
    let judge = |outcome: &Outcome| {
        let (file, seq) = &outcome.place;
        match (outcome.problems.is_empty(), allowed.get(&outcome.place)) {
            (false, None) => Some(format!("{file} {seq} {} differs and isn't allowed to", outcome.name)),
            (true, Some(false)) => {
                Some(format!("{file} {seq} {} agrees: remove it from the list", outcome.name))
            }
            _ => None,
        }
    };
    outcomes.iter().filter_map(judge).collect()
}

pub(crate) fn report<'a>(names: impl IntoIterator<Item = &'a str>, outcomes: &[Outcome]) -> String {
    let mut report = String::new();
    for name in names {
        let of_file: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.place.0 == name).collect();
        let agree = of_file.iter().filter(|outcome| outcome.problems.is_empty()).count();
        let unimitated = of_file.iter().filter(|outcome| !outcome.imitated).count();
        let differ = of_file.len() - agree - unimitated;
        writeln!(report, "{name}: {agree} agree, {differ} differ, {unimitated} not imitated").unwrap();
        for outcome in of_file.iter().filter(|outcome| !outcome.problems.is_empty()) {
            let (seq, name) = (outcome.place.1, &outcome.name);
            writeln!(report, "  {seq} {name}: {}", outcome.problems.join("; ")).unwrap();
        }
    }
    report
}

#[test]
fn a_difference_must_be_listed_and_a_listed_one_must_differ() {
    let outcome = |seq, agrees: bool| {
        let problems = if agrees { vec![] } else { vec!["status".to_owned()] };
        Outcome { place: ("file".to_owned(), seq), name: format!("n{seq}"), problems, imitated: true }
    };
    let allowed = [(2, false), (3, false), (4, true), (5, true)]
        .map(|(seq, timing)| (("file".to_owned(), seq), timing));
    let outcomes = [(0, true), (1, false), (2, false), (3, true), (4, true), (5, false)];
    let verdict = verdict(&outcomes.map(|(seq, agrees)| outcome(seq, agrees)), &allowed.into());
    assert_eq!(
        verdict,
        ["file 1 n1 differs and isn't allowed to", "file 3 n3 agrees: remove it from the list"]
    );
}
