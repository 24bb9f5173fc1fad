//! Another attempt: after somebody has decided so, or when it is certain that the one before did nothing.
//!
//! An unknown outcome is a question to people. Only approvals that name the attempt answer it. Whatever the answer, the
//! plan is judged anew first, and sent again only as what they approved.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::EarlierAttempt,
    core::{
        approval::{Counted, NOT_SENT_AGAIN, Question, Tally},
        audit::AuditEvent,
        judge::{Judged, moved},
    },
};

use super::{
    doubt,
    ending::{end, in_doubt, tell},
    event::{Blocked, Effect, Event, IntentDraft},
    recheck::is_the_same,
    state::{Ended, Order, Outcome, Sending, State},
    step::{dispatch, next_alarm},
    weigh::{ADMISSION_PAUSE, not_in_force},
};

/// As many as a status keeps.
pub(super) const MOST_ATTEMPTS: i64 = 8;
/// So many in a row may come to nothing before people are asked.
const MOST_IN_VAIN: usize = 3;

/// A status holds so much of a message.
const LONGEST: usize = 4096;

/// Somebody has said that no other attempt is to be made.
pub const LEFT_AS_IT_IS: &str = "LeftAsItIs";
/// An attempt that certainly did nothing.
const NOT_DONE: &str = "NotDone";

impl Ended {
    /// Its outcome is unknown, and people can decide about it.
    pub(super) fn asks(&self) -> bool {
        self.outcome == Outcome::Indeterminate && self.doubt.is_some() && self.judged.is_some()
    }
}

impl State {
    /// Another attempt may follow.
    pub(super) fn asks(&self) -> bool {
        match self {
            Self::NotDone(..) => true,
            Self::Ended(ended) => ended.asks(),
            _ => false,
        }
    }

    /// What its approvals have to be about, if not whether to send it at all: those that the attempt in hand was sent on
    /// count for the next one too, if it did nothing.
    pub fn question(&self) -> Option<Question> {
        match self {
            Self::Ended(ended) if ended.asks() => {
                let (intent, doubt) = (ended.intent.as_ref()?, ended.doubt.as_ref()?);
                let since = doubt.since.as_ref().unwrap_or(&intent.at).0;
                Some(Question { attempt: intent.attempt, since })
            }
            Self::Ended(_) => None,
            Self::Confirmed { before: Some(before), .. } => before.question(),
            _ => {
                let decided = self.earlier().iter().rev().find(|attempt| attempt.reason != NOT_DONE)?;
                Some(Question { attempt: decided.intent.attempt, since: decided.since.0 })
            }
        }
    }

    /// Every attempt so far, as the next one keeps it.
    fn attempts(&self, now: Timestamp) -> Vec<EarlierAttempt> {
        let mut all = self.earlier().to_vec();
        all.extend(match self {
            Self::NotDone(sending, why) => Some(EarlierAttempt {
                intent: sending.intent.clone(),
                upid: None,
                reason: NOT_DONE.to_owned(),
                message: why.chars().take(1024).collect(),
                since: Time(now),
                approvals: sending.backing.granted.clone(),
            }),
            Self::Ended(ended) => ended.intent.clone().zip(ended.doubt.clone()).map(|(intent, doubt)| {
                let message = doubt.known.iter().skip(1).cloned().collect::<Vec<_>>().join("; ");
                EarlierAttempt {
                    intent,
                    upid: ended.upid.as_ref().map(ToString::to_string),
                    reason: doubt.reason,
                    message: message.chars().take(1024).collect(),
                    since: doubt.since.unwrap_or(Time(now)),
                    approvals: doubt.approvals,
                }
            }),
            _ => None,
        });
        all
    }
}

/// What happens to a plan for which another attempt may be made.
pub(super) fn another(order: &Order, before: State, event: Event, now: Timestamp) -> (State, Vec<Effect>) {
    match (before, event) {
        (State::NotDone(sending, why), Event::Approvals(tally)) => {
            still_wanted(order, sending, why, &tally, now)
        }
        (State::Ended(ended), Event::Approvals(tally)) => decided(order, ended, &tally, now),
        (before, Event::Rechecked { judged, draft }) => rechecked(before, judged, *draft),
        (before, Event::Denied(denial)) => stays(before, &denial.message),
        (before, _) => (before, vec![]),
    }
}

// ---- the approvals

/// What of them keeps another attempt from being made.
enum Obstacle {
    No(Counted),
    NotInForce(Blocked),
    TooFew(String),
    Over,
    Early,
}

fn obstacle(order: &Order, judged: &Judged, tally: &Tally, now: Timestamp) -> Option<Obstacle> {
    if let Some(no) = &tally.denied_by {
        return Some(Obstacle::No(no.clone()));
    }
    if let Some(why) = &tally.not_in_force {
        return Some(Obstacle::NotInForce(not_in_force(why)));
    }
    if !tally.is_enough(&judged.demand) {
        return Some(Obstacle::TooFew(judged.demand.missing_in_words(&tally.backing.granted)));
    }
    match (order.is_over(now), order.is_early(now)) {
        (true, _) => Some(Obstacle::Over),
        (false, true) => Some(Obstacle::Early),
        (false, false) => None,
    }
}

/// All approvals of a plan whose outcome is unknown that name its attempt.
fn decided(order: &Order, mut ended: Box<Ended>, tally: &Tally, now: Timestamp) -> (State, Vec<Effect>) {
    let Some(judged) = ended.judged.clone() else { return (State::Ended(ended), vec![]) };
    let wake = |at: Option<Timestamp>| at.map(Effect::WakeAt);
    let until = tally.stands_until;
    ended.backing = tally.backing.clone();
    let (state, mut effects, alarm) = match obstacle(order, &judged, tally, now) {
        None if ended.earlier.len() as i64 + 1 >= MOST_ATTEMPTS => {
            let why = format!("{MOST_ATTEMPTS} attempts were made, and no plan makes more");
            let (state, effects) = not_again(ended, &why);
            (state, effects, None)
        }
        None => return (State::Ended(ended), vec![Effect::Recheck]),
        Some(Obstacle::No(no)) => {
            let message = format!(
                "{} decided to leave it as it is (approval {}); it stays unknown what became of attempt {}. Delete that \
                 approval to ask again",
                no.granted.approved_by,
                no.granted.name,
                ended.intent.as_ref().map_or(0, |intent| intent.attempt)
            );
            let (state, effects) = says(ended, LEFT_AS_IT_IS, &message);
            (state, effects, wake(Some(no.until)))
        }
        Some(Obstacle::TooFew(_)) => {
            let (state, effects) = asks_again(ended);
            (state, effects, wake(until))
        }
        Some(Obstacle::NotInForce(_)) if !tally.is_enough(&judged.demand) => {
            let (state, effects) = asks_again(ended);
            (state, effects, None)
        }
        Some(Obstacle::NotInForce(blocked)) => {
            let (state, effects) = says(ended, &blocked.reason, &blocked.message);
            (state, effects, Some(Effect::WakeAfter(ADMISSION_PAUSE)))
        }
        Some(Obstacle::Over) => {
            let (state, effects) = not_again(ended, "notAfter has passed");
            (state, effects, None)
        }
        Some(Obstacle::Early) => {
            let (state, effects) = asks_again(ended);
            (state, effects, wake(next_alarm(order.not_before, until)))
        }
    };
    effects.extend(alarm);
    (state, effects)
}

/// The approvals of a plan whose call was not carried out: those that it was sent on have to stand still.
fn still_wanted(
    order: &Order,
    sending: Sending,
    why: String,
    tally: &Tally,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    match obstacle(order, &sending.judged, tally, now) {
        None => (State::NotDone(sending, why), vec![Effect::Recheck]),
        Some(Obstacle::No(no)) => {
            let but = format!("{} said no ({})", no.granted.approved_by, no.granted.name);
            not_carried_out(sending, &why, &but)
        }
        Some(Obstacle::TooFew(missing)) => {
            not_carried_out(sending, &why, &format!("its approvals no longer stand: it lacks {missing}"))
        }
        Some(Obstacle::Over) => not_carried_out(sending, &why, "notAfter has passed"),
        Some(Obstacle::NotInForce(blocked)) => waits(sending, blocked),
        Some(Obstacle::Early) => {
            (State::Dispatching(sending), order.not_before.map(Effect::WakeAt).into_iter().collect())
        }
    }
}

/// The last look at the approvals of another attempt that was judged a moment ago. Where they are not enough, the attempt
/// before says what follows.
pub(super) fn confirmed_again(
    order: &Order,
    before: State,
    (judged, draft): (Judged, IntentDraft),
    tally: Tally,
    now: Timestamp,
) -> (State, Vec<Effect>) {
    if obstacle(order, &judged, &tally, now).is_none() {
        if draft.has_grown_old(now) {
            return (before, vec![Effect::Recheck]);
        }
        let until = next_alarm(order.not_after, tally.stands_until);
        return dispatch(judged, tally.backing, (draft, before.attempts(now)), until, now);
    }
    match before {
        State::NotDone(sending, why) => still_wanted(order, sending, why, &tally, now),
        State::Ended(ended) => decided(order, ended, &tally, now),
        other => (other, vec![]),
    }
}

// ---- the judgement

/// Goes on only as what was approved: the planHash holds all of that.
fn rechecked(before: State, judged: Judged, draft: IntentDraft) -> (State, Vec<Effect>) {
    let Some(old) = before.judged() else { return (before, vec![]) };
    let asked = before.question().is_some();
    let judged = if asked { Judged { demand: judged.demand.at_least(1), ..judged } } else { judged };
    if is_the_same(old, &judged) {
        let backing = before.backing().cloned().unwrap_or_default();
        let before = Some(Box::new(before));
        return (State::Confirmed { judged, backing, draft, before }, vec![Effect::GatherApprovals]);
    }
    let but = format!("it is no longer what was approved ({})", moved(old, &judged).join("; "));
    stays(before, &but)
}

/// It can't be carried out any more, or not as it was approved.
pub(super) fn stays(before: State, but: &str) -> (State, Vec<Effect>) {
    match before {
        State::NotDone(sending, why) => not_carried_out(sending, &why, but),
        State::Ended(ended) => not_again(ended, but),
        other => (other, vec![]),
    }
}

// ---- what becomes of the attempt before

/// A call that certainly did nothing may be sent again, but not for ever.
pub(super) fn not_done(sending: Sending, why: String) -> (State, Vec<Effect>) {
    let in_vain = sending.earlier.iter().rev().take_while(|attempt| attempt.reason == NOT_DONE).count() + 1;
    if in_vain >= MOST_IN_VAIN || sending.intent.attempt >= MOST_ATTEMPTS {
        let facts = [why, format!("{in_vain} attempts in a row came to nothing")];
        return in_doubt(State::Dispatching(sending).end(Outcome::Indeterminate, "NoTaskFound", ""), &facts);
    }
    (State::NotDone(sending, why), vec![Effect::GatherApprovals])
}

fn not_carried_out(sending: Sending, why: &str, but: &str) -> (State, Vec<Effect>) {
    let message = format!(
        "it was never carried out ({why}), and is not sent again, because {but}. Make a new plan if it is still wanted"
    );
    end(State::Dispatching(sending), Outcome::Failed, "NotCarriedOut", message)
}

fn waits(sending: Sending, blocked: Blocked) -> (State, Vec<Effect>) {
    let is_news = sending.blocked.as_ref() != Some(&blocked);
    let mut effects = vec![Effect::WriteStatus];
    effects.extend(is_news.then(|| tell(true, &blocked.reason, &blocked.message)));
    effects.push(Effect::WakeAfter(ADMISSION_PAUSE));
    (State::Dispatching(Sending { blocked: Some(blocked), ..sending }), effects)
}

/// Nobody has to decide twice: what was decided is not done, and why.
fn not_again(ended: Box<Ended>, but: &str) -> (State, Vec<Effect>) {
    let attempt = ended.intent.as_ref().map_or(0, |intent| intent.attempt);
    let message = format!(
        "it stays unknown what became of attempt {attempt}, and it is not sent again, because {but}. Make a new plan for \
         what is still to be done"
    );
    says(ended, NOT_SENT_AGAIN, &message)
}

/// Something is missing that passes, or comes again.
pub(super) fn held_up(ended: Box<Ended>, blocked: &Blocked) -> (State, Vec<Effect>) {
    says(ended, &blocked.reason, &blocked.message)
}

fn asks_again(ended: Box<Ended>) -> (State, Vec<Effect>) {
    let Some(doubt) = ended.doubt.clone() else { return (State::Ended(ended), vec![]) };
    says(ended, &doubt.reason, &doubt::told(&doubt))
}

/// What has become of the question. Told once, and what was decided is on record before; what is known of the attempt stays beside it.
fn says(mut ended: Box<Ended>, reason: &str, message: &str) -> (State, Vec<Effect>) {
    let message: String = message.chars().take(LONGEST).collect();
    let is_news = (ended.reason.as_str(), &ended.message) != (reason, &message);
    let telling = tell(true, reason, &message);
    let is_decided = [LEFT_AS_IT_IS, NOT_SENT_AGAIN].contains(&reason);
    let decision = Effect::Audit(AuditEvent::Denied, message.clone());
    ended.reason = reason.to_owned();
    ended.message = message;
    let mut effects: Vec<Effect> = (is_news && is_decided).then_some(decision).into_iter().collect();
    effects.push(Effect::WriteStatus);
    effects.extend(is_news.then_some(telling));
    (State::Ended(ended), effects)
}
