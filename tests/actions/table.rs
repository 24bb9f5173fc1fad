//! Plays all cases of a domain, and prints what came of them.

use futures::{StreamExt as _, stream};
use serde_json::Value;

use crate::{
    book::{CONDITIONS, Case, Condition, Entry, entries, given},
    examine::surprises,
    pattern::{fits, fits_text},
    play::{Ask, Played, judged, play, play_on},
    rights::{Grants, Needed, least, sight, without},
    stage::Stage,
    worlds::{difference, document, patch},
};

/// Simulations that run at the same time.
const AT_ONCE: usize = 4;

/// One line of the table: an action, a condition and what came of it.
struct Line {
    entry: String,
    condition: String,
    outcome: String,
    surprises: Vec<String>,
}

/// Plays a domain and fails on anything that was not expected.
pub(crate) async fn holds(domain: &str) {
    let common = document("world.yaml");
    let lines: Vec<Vec<Line>> = stream::iter(entries(domain))
        .map(|entry| tokio::spawn(lines_of(entry, common.clone())))
        .buffered(AT_ONCE)
        .map(Result::unwrap)
        .collect()
        .await;
    let lines: Vec<Line> = lines.into_iter().flatten().collect();
    for line in &lines {
        println!("{:42} {:22} {}", line.entry, line.condition, line.outcome);
    }
    let surprising: Vec<String> = lines.iter().flat_map(Line::told).collect();
    assert!(surprising.is_empty(), "{domain}: not as expected:\n{}", surprising.join("\n"));
}

impl Line {
    fn new(entry: &Entry, condition: impl Into<String>, outcome: &str, surprises: Vec<String>) -> Self {
        Self { entry: entry.name(), condition: condition.into(), outcome: outcome.to_owned(), surprises }
    }

    fn told(&self) -> Vec<String> {
        let told = |surprise: &String| format!("{} / {} / {surprise}", self.entry, self.condition);
        self.surprises.iter().map(told).collect()
    }
}

async fn lines_of(entry: Entry, common: Value) -> Vec<Line> {
    let stage = Stage::new().await;
    let world = entry.world(&common);
    let needed = needed(&stage, &entry, &world).await;
    let mut lines = Vec::new();
    for condition in CONDITIONS {
        if let Some(Condition::Never(why)) = entry.conditions.get(condition) {
            lines.push(Line::new(&entry, condition, &format!("can't be: {why}"), vec![]));
        }
        for case in entry.cases(condition) {
            lines.push(play_case(&stage, &entry, condition, case, &world, &needed).await);
        }
    }
    for case in entry.cases("success") {
        lines.extend(lacking(&stage, &entry, case, &world).await);
    }
    stage.stop().await;
    lines
}

pub(crate) fn ask(entry: &Entry, case: &Case) -> Ask {
    Ask {
        action: entry.action.clone(),
        target: case.target.as_ref().unwrap_or(&entry.target).clone(),
        params: case.params(entry),
    }
}

fn success(entry: &Entry) -> &Case {
    entry.cases("success").into_iter().next().unwrap_or_else(|| panic!("{}: has no success", entry.name()))
}

pub(crate) fn world_of(case: &Case, world: &Value) -> Value {
    let mut world = world.clone();
    patch(&mut world, &given(&case.world));
    world
}

/// What the catalogue says is needed where it succeeds, as root is told.
async fn needed(stage: &Stage, entry: &Entry, world: &Value) -> Vec<Needed> {
    let case = success(entry);
    needed_in(stage, &ask(entry, case), &world_of(case, world))
        .await
        .unwrap_or_else(|denial| panic!("{}: root is {denial:?}", entry.name()))
}

async fn needed_in(stage: &Stage, ask: &Ask, world: &Value) -> Result<Vec<Needed>, (String, String)> {
    stage.set(world, &Grants::new()).await;
    let (judged, _) = judged(stage, &stage.root, ask).await?;
    Ok(judged.preview.privileges.needed.iter().map(|words| Needed::read(words)).collect())
}

async fn play_case(
    stage: &Stage,
    entry: &Entry,
    condition: &str,
    case: &Case,
    world: &Value,
    needed: &[Needed],
) -> Line {
    let (ask, world) = (ask(entry, case), world_of(case, world));
    let own = needed_in(stage, &ask, &world).await;
    let needed = own.as_deref().unwrap_or(needed);
    let alternatives = match condition {
        "success" => needed.iter().map(|needed| needed.any_of.len()).max().unwrap_or(1),
        _ => 1,
    };
    let mut all = Vec::new();
    let mut outcome = String::new();
    for nth in 0..alternatives {
        let mut grants = least(needed, nth);
        grants.extend(sight(entry));
        let played = play(stage, &ask, &world, (&grants, &grants), &case.between).await;
        all.extend(surprises(case, &played, condition == "success"));
        if condition == "success" {
            all.extend(undo(stage, case, &played).await);
        }
        outcome = played.ends;
    }
    Line::new(entry, case.name(condition), &outcome, all)
}

/// Carries the preview's compensating plan out and compares the world with the one before.
async fn undo(stage: &Stage, case: &Case, played: &Played) -> Option<String> {
    let plan = played.judged.as_ref()?.preview.undo.plan.clone()?;
    let ask =
        Ask { action: plan.action, target: plan.target, params: serde_json::to_value(plan.params).unwrap() };
    let back = play_on(stage, &ask).await;
    let rest = difference(&played.before, &back.after);
    let as_told = match &case.undo_ends {
        Some(ends) => fits_text(ends, &back.ends),
        None => ["done", "task: OK"].contains(&back.ends.as_str()),
    };
    let is_expected = fits(&given(&case.undone), &rest);
    (!as_told || !is_expected).then(|| format!("undone: {rest} ({} {} {ask:?})", back.ends, back.message))
}

/// A token without one of the needed rights: denied at plan time; and refused by Proxmox if the right is taken away between
/// the judgement and the call.
async fn lacking(stage: &Stage, entry: &Entry, case: &Case, world: &Value) -> Vec<Line> {
    let (ask, world) = (ask(entry, case), world_of(case, world));
    let needed = needed_in(stage, &ask, &world).await.unwrap();
    let mut all = least(&needed, 0);
    all.extend(sight(entry));
    let mut lines = Vec::new();
    for right in &needed {
        let less = without(&all, right);
        let planned = play(stage, &ask, &world, (&less, &less), &Value::Null).await;
        let mut surprises = Vec::new();
        let is_hidden = entry.hidden_without.contains_key(&right.words);
        let is_denied = match is_hidden {
            true => planned.ends == "denied TargetNotFound",
            false => planned.ends == "denied MissingPrivileges" && planned.message.contains(&right.words),
        };
        if !is_denied {
            surprises.push(format!("{} {}", planned.ends, planned.message));
        }
        if !planned.ledger.is_empty() {
            surprises.push(format!("sends although denied: {:?}", planned.ledger));
        }
        lines.push(Line::new(entry, case.name(&format!("no {}", right.words)), &planned.ends, surprises));
        let sent = play(stage, &ask, &world, (&all, &less), &Value::Null).await;
        let is_known = entry.asked_for_too_much.contains_key(&right.words);
        let is_refused =
            sent.ends.starts_with("refused 403: ") || sent.ends.contains("403 Permission check failed");
        let surprise = (is_refused == is_known || sent.ledger.len() != 1)
            .then(|| format!("taken away before it is sent: {}", sent.ends));
        lines.push(Line::new(
            entry,
            case.name(&format!("lost {}", right.words)),
            &sent.ends,
            surprise.into_iter().collect(),
        ));
    }
    lines
}
