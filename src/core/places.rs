//! How much may happen at the same time on one node and with one storage, and whose turn it is.

use jiff::Timestamp;

use crate::api::Budgets;

use super::occupied::Occupied;

/// Reasons of plans for which there is no place yet.
pub const NODE_BUSY: &str = "NodeBusy";
pub const STORAGE_BUSY: &str = "StorageBusy";

/// A plan that is at work, or waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The plan's name; all plans of an environment are in one namespace.
    pub plan: String,
    /// When the plan was made: the oldest goes first.
    pub made_at: Timestamp,
    pub occupied: Occupied,
}

impl Claim {
    fn comes_before(&self, other: &Self) -> bool {
        (self.made_at, &self.plan) < (other.made_at, &other.plan)
    }
}

/// Why a plan has to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    pub reason: &'static str,
    pub message: String,
}

/// Whether there is a place for a plan, beside those that are at work and those that are older and wait for the same.
///
/// An older plan keeps its turn on everything that it needs, also while only one of these is busy: otherwise a plan that
/// needs two things would never get both at once from those that need one.
pub fn turn(claim: &Claim, at_work: &[Claim], waiting: &[Claim], budgets: Budgets) -> Result<(), Busy> {
    let line = Line { claim, at_work, waiting };
    claim.occupied.node.iter().try_for_each(|node| {
        let what = format!("node {node}");
        line.look(NODE_BUSY, &what, "tasksPerNode", budgets.tasks_per_node, |other| {
            other.node.as_ref() == Some(node)
        })
    })?;
    claim.occupied.storages.iter().try_for_each(|storage| {
        let what = format!("storage {storage}");
        line.look(STORAGE_BUSY, &what, "tasksPerStorage", budgets.tasks_per_storage, |other| {
            other.storages.contains(storage)
        })
    })
}

/// Whose turn it is now, oldest first.
pub fn turns(at_work: &[Claim], waiting: &[Claim], budgets: Budgets) -> Vec<String> {
    let may_go = |claim: &&Claim| turn(claim, at_work, waiting, budgets).is_ok();
    let mut next: Vec<&Claim> = waiting.iter().filter(may_go).collect();
    next.sort_by_key(|claim| (claim.made_at, &claim.plan));
    next.into_iter().map(|claim| claim.plan.clone()).collect()
}

struct Line<'a> {
    claim: &'a Claim,
    at_work: &'a [Claim],
    waiting: &'a [Claim],
}

impl Line<'_> {
    fn look(
        &self,
        reason: &'static str,
        what: &str,
        field: &str,
        budget: u32,
        needs_it: impl Fn(&Occupied) -> bool,
    ) -> Result<(), Busy> {
        let others = |claims: &[Claim]| -> Vec<String> {
            let concerned = claims.iter().filter(|other| other.plan != self.claim.plan);
            concerned.filter(|other| needs_it(&other.occupied)).map(|other| other.plan.clone()).collect()
        };
        let older: Vec<Claim> =
            self.waiting.iter().filter(|other| other.comes_before(self.claim)).cloned().collect();
        let (at_work, before) = (others(self.at_work), others(&older));
        if at_work.len() + before.len() < budget as usize {
            return Ok(());
        }
        let older = if before.is_empty() { String::new() } else { format!("; older: {}", listed(&before)) };
        let message = format!(
            "waits for {what}, where not more than {budget} plans may be at work at once (spec.budgets.{field} of the \
             environment); at work: {}{older}",
            listed(&at_work)
        );
        Err(Busy { reason, message })
    }
}

/// Names enough to see who it is.
fn listed(plans: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = plans.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match plans.len() {
        0 => "none".to_owned(),
        all if all > SHOWN => format!("{shown} and {} more", all - SHOWN),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(plan: &str, made_at: i64, node: &str, storages: &[&str]) -> Claim {
        Claim {
            plan: plan.to_owned(),
            made_at: Timestamp::from_second(made_at).unwrap(),
            occupied: Occupied {
                node: Some(node.to_owned()),
                storages: storages.iter().map(|name| (*name).to_owned()).collect(),
            },
        }
    }

    const TWO_AND_ONE: Budgets = Budgets { tasks_per_node: 2, tasks_per_storage: 1 };

    #[test]
    fn a_plan_goes_as_long_as_there_is_a_place_on_its_node_and_storages() {
        let at_work = [claim("a", 1, "pve1", &["tank"])];
        let ask = |claim: &Claim| turn(claim, &at_work, &[], TWO_AND_ONE);
        assert_eq!(ask(&claim("b", 2, "pve1", &["local"])), Ok(()));
        assert_eq!(ask(&claim("b", 2, "pve2", &[])), Ok(()));
        let busy = ask(&claim("b", 2, "pve2", &["tank"])).unwrap_err();
        assert_eq!(busy.reason, STORAGE_BUSY);
        assert!(busy.message.contains("storage tank") && busy.message.contains("at work: a"), "{busy:?}");
        let at_work = [claim("a", 1, "pve1", &[]), claim("b", 2, "pve1", &[])];
        let busy = turn(&claim("c", 3, "pve1", &[]), &at_work, &[], TWO_AND_ONE).unwrap_err();
        assert_eq!(busy.reason, NODE_BUSY);
        assert!(busy.message.contains("at work: a, b"), "{busy:?}");
    }

    #[test]
    fn a_plan_does_not_stand_in_its_own_way() {
        let own = claim("a", 1, "pve1", &["tank"]);
        assert_eq!(turn(&own, std::slice::from_ref(&own), std::slice::from_ref(&own), TWO_AND_ONE), Ok(()));
    }

    #[test]
    fn the_oldest_goes_first() {
        let waiting = [claim("new", 9, "pve1", &["tank"]), claim("old", 1, "pve2", &["tank"])];
        assert_eq!(turns(&[], &waiting, TWO_AND_ONE), ["old"]);
        let busy = turn(&waiting[0], &[], &waiting, TWO_AND_ONE).unwrap_err();
        assert!(busy.message.contains("at work: none; older: old"), "{busy:?}");
    }

    #[test]
    fn nobody_overtakes_a_plan_that_needs_several_things() {
        let at_work = [claim("a", 0, "pve1", &["tank"])];
        let waiting = [claim("old", 1, "pve1", &["tank", "fast"]), claim("new", 2, "pve2", &["fast"])];
        assert!(turns(&at_work, &waiting, TWO_AND_ONE).is_empty());
        assert_eq!(turns(&[], &waiting, TWO_AND_ONE), ["old"]);
    }

    #[test]
    fn everybody_for_whom_there_is_a_place_goes_at_once() {
        let waiting = [
            claim("c", 3, "pve1", &[]),
            claim("a", 1, "pve1", &[]),
            claim("b", 2, "pve1", &[]),
            claim("d", 4, "pve2", &[]),
        ];
        assert_eq!(turns(&[], &waiting, TWO_AND_ONE), ["a", "b", "d"]);
    }

    #[test]
    fn what_is_at_work_on_nothing_waits_for_nobody() {
        let full = [claim("a", 1, "pve1", &[]), claim("b", 1, "pve1", &[])];
        let at_once = Claim { occupied: Occupied::default(), ..claim("c", 2, "pve1", &[]) };
        assert_eq!(turn(&at_once, &full, &[], TWO_AND_ONE), Ok(()));
    }
}
