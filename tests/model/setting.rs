//! What is explored: an action, what can go wrong and how often, and the protocol that is followed.

use jiff::{SignedDuration, Timestamp};
use proxmox_agent::{
    api::{PolicyDecision, Preset, Preview, ProxmoxActionPlanSpec, Risk},
    core::{
        demand::Demand,
        ha::HaGoal,
        hash::Hash,
        judge::Judged,
        lifecycle::{IntentDraft, Order},
    },
};

/// A moment of the model lasts so long. A call leaves in the moment of its announcement or never, arrives in that or the
/// next one, and has settled in the one after.
pub(crate) const MOMENT: i64 = 20;
pub(crate) const SETTLE: SignedDuration = SignedDuration::from_secs(35);
pub(crate) const SETTLED_AFTER: u8 = 2;
pub(crate) const SENDER: &str = "agent@pve!operator";

/// What tells whether an action was carried out, if its task is not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Proxmox refuses the second of two such calls: a snapshot's name, a new guest's number.
    RefusingKey,
    /// The target is as it was to be, which others can undo: a guest that runs.
    Goal,
    /// Nothing: a reboot.
    Untold,
    /// It is done when the call is answered, and there is no task.
    Synchronous,
    /// A task hands it to the HA manager.
    Ha,
}

/// Another task for the same target, at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    None,
    /// Somebody else's, by its user.
    OfAnotherUser,
    /// That of another plan, which has it on record.
    OfAnotherPlan,
    /// That of another plan, which waits for its answer.
    Contested,
}

/// How often each kind of thing may happen that nobody wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    pub(crate) crashes: u8,
    /// A write without an answer, refused, late, or after somebody else's.
    pub(crate) store: u8,
    /// A call that never leaves or gets no answer, an unjust no, a read that fails.
    pub(crate) wire: u8,
    /// A task that fails, is killed or forgotten.
    pub(crate) tasks: u8,
    /// An approval is revoked, the target moves, the plan is deleted.
    pub(crate) people: u8,
    /// An audit log that can't be written.
    pub(crate) audit: u8,
    /// The lease changes hands. It is only a hint: both replicas may act at any time, whoever holds it.
    pub(crate) lease: u8,
}

/// What is done about a call. The first is what the program does; the others are known to be wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    pub(crate) intent_on_record: bool,
    pub(crate) fenced: bool,
    /// The API server keeps the rules of the plan's kind, by which an end is final and an intent write-once.
    pub(crate) ruled: bool,
    pub(crate) asks_the_lease: bool,
    pub(crate) keeps_the_deadline: bool,
    pub(crate) waits_until_settled: bool,
    pub(crate) sends_again_without_answer: bool,
    pub(crate) sends_again_if_nothing_is_found: bool,
    pub(crate) reads_the_task_list: bool,
    pub(crate) list_loses_entries: bool,
}

pub(crate) const SHIPPED: Protocol = Protocol {
    intent_on_record: true,
    fenced: true,
    ruled: true,
    asks_the_lease: false,
    keeps_the_deadline: true,
    waits_until_settled: true,
    sends_again_without_answer: false,
    sends_again_if_nothing_is_found: false,
    reads_the_task_list: true,
    list_loses_entries: true,
};

/// One exploration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    pub(crate) approvals: u32,
    pub(crate) faults: Faults,
    pub(crate) protocol: Protocol,
    pub(crate) stranger: Stranger,
    /// The second replica's clock is so many moments ahead.
    pub(crate) skew: i8,
    /// In which moment the approvals end.
    pub(crate) approved_until: Option<u8>,
    /// In which moment the plan itself ends.
    pub(crate) not_after: Option<u8>,
    /// A replica may stand still between its recheck and its intent.
    pub(crate) is_slow: bool,
    /// So often people decide that a plan whose outcome is unknown is sent again.
    pub(crate) decisions: u8,
    /// After so many attempts the target tells nothing any more: the program would make eight.
    pub(crate) attempts: u8,
    /// Instead of a revocation, people delete the plan, and make another of its name.
    pub(crate) deletes: bool,
}

impl Setting {
    /// Two replicas whose clocks agree work on a plan that needs one approval.
    pub(crate) fn of(name: &'static str, class: Class, faults: Faults) -> Self {
        Self {
            name,
            class,
            approvals: 1,
            faults,
            protocol: SHIPPED,
            stranger: Stranger::None,
            skew: 0,
            approved_until: None,
            not_after: None,
            is_slow: false,
            decisions: 0,
            attempts: crate::rows::scale("SENDS", 2),
            deletes: false,
        }
    }

    pub(crate) fn spec(&self) -> ProxmoxActionPlanSpec {
        ProxmoxActionPlanSpec {
            environment: "home".into(),
            action: if self.class == Class::Ha { "start_guest" } else { "create_snapshot" }.into(),
            target: "qemu/100".into(),
            requested_by: "agent".into(),
            ..Default::default()
        }
    }

    pub(crate) fn order(&self) -> Order {
        Order {
            dry_run: false,
            reads: false,
            not_before: None,
            not_after: self.not_after.map(|end| moment(end.into())),
            ha_goal: HaGoal::of(&self.spec()).filter(|_| self.class == Class::Ha),
        }
    }

    pub(crate) fn task_type(&self) -> &'static str {
        if self.class == Class::Ha { "hastart" } else { "qmsnapshot" }
    }

    pub(crate) fn draft(&self, nonce: String, node_time: Timestamp, judged_at: Timestamp) -> IntentDraft {
        let has_task = self.class != Class::Synchronous;
        IntentDraft {
            nonce,
            node: "pve1".into(),
            storages: vec![],
            task_id: "100".into(),
            task_types: if has_task { vec![self.task_type().to_owned()] } else { vec![] },
            sender: SENDER.into(),
            node_time,
            drafted_at: node_time,
            judged_at,
            digest: None,
            settle: SETTLE,
        }
    }

    /// What the plan is judged as, when its target has moved so often.
    pub(crate) fn judged(&self, moved: u8) -> Judged {
        Judged {
            request_hash: Hash::of("a request", &"this").unwrap(),
            plan_hash: Hash::of("a plan", &moved).unwrap(),
            risk: if self.approvals == 0 { Risk::Low } else { Risk::High },
            risk_reasons: vec![],
            policy: PolicyDecision {
                preset: Preset::Balanced,
                name: None,
                revision: "balanced/1".into(),
                decisions: vec![],
            },
            demand: Demand::of(self.approvals),
            fingerprint: [("digest".to_owned(), moved.to_string())].into(),
            preview: Preview { summary: "does it".into(), ..Preview::default() },
        }
    }
}

/// The beginning of a moment.
pub(crate) fn moment(number: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + number * MOMENT).unwrap()
}
