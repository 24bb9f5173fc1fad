//! What becomes of a request that was handed to the HA manager: it acts in its own time, and tells nobody when it is done.

use jiff::SignedDuration;

use crate::{
    api::ProxmoxActionPlanSpec,
    catalog::{self, Action, Changes, GuestKind},
};

/// How long the manager may take beyond the time that the action gives the guest. It acts within seconds, and tries a
/// few times and on other nodes if that fails.
const PATIENCE: SignedDuration = SignedDuration::from_mins(15);

/// What the HA manager was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaGoal {
    end: End,
    /// How long it is waited for.
    pub patience: SignedDuration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Running,
    Stopped,
    OnNode(String),
}

/// A guest of the HA manager at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaGuest {
    pub node: String,
    /// `running`, `stopped`, ...; `unknown` while it moves.
    pub status: String,
    /// What the manager makes of it: `started`, `migrate`, `error`, ... `None` if it does not look after it.
    pub state: Option<String>,
    /// The same in the manager's own words.
    pub told: String,
}

/// How far the HA manager has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HaProgress {
    Working,
    /// The guest is where it was to be, in words.
    Done(String),
    /// It will not do it, and why.
    GivenUp(String),
}

impl HaGoal {
    /// What a plan asks of the manager if it is handed to it.
    pub fn of(spec: &ProxmoxActionPlanSpec) -> Option<Self> {
        let action = catalog::find(&spec.action).filter(|action| can_be_handed_over(action))?;
        let end = match action.changes()? {
            Changes::Power("running") => End::Running,
            Changes::Power("stopped") => End::Stopped,
            Changes::Node(parameter) => End::OnNode(spec.params.get(parameter)?.as_str()?.to_owned()),
            _ => return None,
        };
        let timeout = spec.params.get("timeout").and_then(serde_json::Value::as_i64).unwrap_or_default();
        let patience = PATIENCE.saturating_add(SignedDuration::from_secs(timeout));
        Some(Self { end, patience })
    }

    /// What a look at the guest tells. `None`: it is not listed any more.
    pub fn progress(&self, guest: Option<&HaGuest>) -> HaProgress {
        let Some(guest) = guest else {
            return HaProgress::GivenUp("the guest is no longer there".to_owned());
        };
        if let Some(done) = self.reached(guest) {
            return HaProgress::Done(done);
        }
        match guest.state.as_deref() {
            Some("error") => HaProgress::GivenUp(format!("it says: {}", guest.told)),
            Some("ignored") => HaProgress::GivenUp("it was told to ignore the guest".to_owned()),
            None => HaProgress::GivenUp("it no longer looks after the guest".to_owned()),
            Some(_) => HaProgress::Working,
        }
    }

    fn reached(&self, guest: &HaGuest) -> Option<String> {
        let on_its_way = matches!(guest.state.as_deref(), Some("migrate" | "relocate"));
        let there = match &self.end {
            End::Running => guest.status == "running",
            End::Stopped => guest.status == "stopped",
            End::OnNode(node) => guest.node == *node && !on_its_way,
        };
        there.then(|| format!("the guest is {} on {}", guest.status, guest.node))
    }
}

/// Its task may be one that only asks the manager.
fn can_be_handed_over(action: &Action) -> bool {
    let kinds = [GuestKind::Qemu, GuestKind::Lxc];
    kinds.into_iter().flat_map(|kind| action.task_types(kind)).any(|task| is_of_ha(task))
}

/// Such a task ends as soon as the manager has the request.
pub fn is_of_ha(task_type: &str) -> bool {
    matches!(task_type, "hastart" | "hastop" | "hamigrate")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::request::tests::spec;

    pub(crate) fn seen(status: &str, state: Option<&str>) -> HaGuest {
        HaGuest {
            node: "pve1".into(),
            status: status.into(),
            state: state.map(str::to_owned),
            told: format!("vm:100 (pve1, {})", state.unwrap_or_default()),
        }
    }

    fn progress(action: &str, guest: &HaGuest) -> HaProgress {
        HaGoal::of(&spec(action, "qemu/100", json!({}))).unwrap().progress(Some(guest))
    }

    #[test]
    fn what_was_asked_for_is_done_when_the_guest_is_seen_there() {
        for (action, before, after) in [
            ("start_guest", "stopped", "running"),
            ("stop_guest", "running", "stopped"),
            ("shutdown_guest", "running", "stopped"),
        ] {
            assert_eq!(progress(action, &seen(before, Some("started"))), HaProgress::Working, "{action}");
            assert_eq!(progress(action, &seen("unknown", Some("migrate"))), HaProgress::Working, "{action}");
            let HaProgress::Done(how) = progress(action, &seen(after, Some("started"))) else {
                panic!("{action}")
            };
            assert_eq!(how, format!("the guest is {after} on pve1"));
        }
    }

    #[test]
    fn a_guest_has_moved_when_it_is_there_and_no_longer_on_its_way() {
        let goal = HaGoal { end: End::OnNode("pve1".into()), patience: PATIENCE };
        assert_eq!(goal.progress(Some(&seen("running", Some("migrate")))), HaProgress::Working);
        assert!(matches!(goal.progress(Some(&seen("running", Some("started")))), HaProgress::Done(_)));
        let elsewhere = HaGuest { node: "pve2".into(), ..seen("running", Some("started")) };
        assert_eq!(goal.progress(Some(&elsewhere)), HaProgress::Working);
    }

    #[test]
    fn a_manager_that_has_given_up_or_was_sent_away_is_not_waited_for() {
        for (state, why) in [
            (Some("error"), "vm:100 (pve1, error)"),
            (Some("ignored"), "ignore"),
            (None, "no longer looks after"),
        ] {
            let HaProgress::GivenUp(told) = progress("start_guest", &seen("stopped", state)) else {
                panic!("{state:?}")
            };
            assert!(told.contains(why), "{told}");
            let done = progress("start_guest", &seen("running", state));
            assert!(matches!(done, HaProgress::Done(_)), "it runs, whatever the manager says");
        }
        let gone = HaGoal::of(&spec("start_guest", "qemu/100", json!({}))).unwrap().progress(None);
        assert!(matches!(gone, HaProgress::GivenUp(_)));
    }

    #[test]
    fn a_guest_that_is_given_longer_is_waited_for_longer() {
        let patience = |params| HaGoal::of(&spec("shutdown_guest", "qemu/100", params)).unwrap().patience;
        assert_eq!(patience(json!({})), SignedDuration::from_mins(15));
        assert_eq!(patience(json!({"timeout": 7200})), SignedDuration::from_mins(135));
    }

    #[test]
    fn what_is_never_handed_over_has_no_goal_and_everything_else_has_one() {
        let params = json!({"node": "pve2", "target": "pve2", "destination": "pve2"});
        for action in catalog::actions() {
            let goal = HaGoal::of(&spec(action.name, "qemu/100", params.clone()));
            assert_eq!(goal.is_some(), can_be_handed_over(action), "{}", action.name);
        }
        let migration = HaGoal::of(&spec("migrate_guest", "qemu/100", params)).unwrap();
        assert_eq!(migration.end, End::OnNode("pve2".into()));
    }
}
