//! Whether a call may leave, by the truth about who did what, and in another way than the code finds it out.

use std::collections::BTreeSet;

use super::{
    law_of_tests::{Needed, Verdict},
    world_of_tests::{Home, Said, Snapshot},
};

/// What is wrong with a call that left at this moment, in milliseconds.
pub(super) fn objection(seen: &Snapshot, at: i64) -> Option<&'static str> {
    let by_admission = seen.home == Home::Cluster;
    if by_admission && !seen.in_force {
        return Some("the admission policies were not in force");
    }
    if by_admission && seen.plan.forged && !seen.plan.git {
        return Some("nobody knows who asked");
    }
    if seen.not_before.is_some_and(|begin| at < begin) {
        return Some("it was too early");
    }
    if seen.not_after.is_some_and(|end| end <= at) {
        return Some("it was too late");
    }
    let needed = match &seen.verdict {
        Verdict::Broken => return Some("nothing could be judged by its policy"),
        Verdict::Refused => return Some("its policy refused it"),
        Verdict::Needs { frozen: true, .. } => return Some("it was frozen"),
        Verdict::Needs { needed, .. } => needed,
    };
    if seen.said.iter().any(|said| is_a_no(said, seen, at)) {
        return Some("somebody has said no");
    }
    let good: Vec<&Said> = seen.said.iter().filter(|said| is_good(said, seen, needed, at)).collect();
    (!some_set_suffices(&good, seen.home, needed)).then_some("no set of approvals was enough")
}

fn is_alive(said: &Said, at: i64) -> bool {
    let lives = said.word.expires.map_or(24 * 3_600_000, |seconds| seconds * 1_000).min(366 * 24 * 3_600_000);
    let came_in = said.at / 1_000 * 1_000;
    !said.is_going && at < came_in + lives && lives > 0
}

fn is_a_no(said: &Said, seen: &Snapshot, at: i64) -> bool {
    let about_it = said.plan_uid == seen.plan.uid && said.is_for_this_name && said.is_for_this_environment;
    said.word.denies && about_it && is_alive(said, at) && !said.names_an_attempt
}

fn is_good(said: &Said, seen: &Snapshot, needed: &Needed, at: i64) -> bool {
    let fits = said.plan_uid == seen.plan.uid
        && said.is_for_this_name
        && said.is_for_this_environment
        && !said.names_an_attempt
        && said.saw.is_some()
        && said.saw == seen.shown
        && said.risk == needed.risk;
    let is_true = match (said.word.git, seen.home) {
        (Some(signed), _) => signed,
        (None, Home::Cluster) => !said.forged,
        (None, Home::Waived) => true,
        (None, Home::Directory { production }) => !production,
    };
    fits && is_true && !said.word.denies && said.word.by != seen.plan.requester && is_alive(said, at)
}

fn groups(said: &Said, home: Home) -> &[&'static str] {
    let proven = said.word.git.is_some() || home == Home::Cluster;
    if proven { &said.word.groups } else { &[] }
}

/// Any set of approvals by different people that is large enough and of which, by Hall's theorem, every choice of groups
/// finds as many who speak for one of them as those groups have to send.
fn some_set_suffices(good: &[&Said], home: Home, needed: &Needed) -> bool {
    (0u32..1 << good.len()).any(|set| {
        let chosen: Vec<&Said> =
            good.iter().enumerate().filter(|(n, _)| set & (1 << n) != 0).map(|(_, said)| *said).collect();
        let people: BTreeSet<usize> = chosen.iter().map(|said| said.word.by).collect();
        people.len() == chosen.len()
            && chosen.len() >= needed.people as usize
            && (0u32..1 << needed.groups.len()).all(|choice| {
                let asked: Vec<_> = needed
                    .groups
                    .iter()
                    .enumerate()
                    .filter(|(n, _)| choice & (1 << n) != 0)
                    .map(|(_, one)| one)
                    .collect();
                let speak = chosen.iter().filter(|said| {
                    asked.iter().any(|(group, _)| groups(said, home).contains(&group.as_str()))
                });
                speak.count() >= asked.iter().map(|(_, count)| **count as usize).sum()
            })
    })
}
