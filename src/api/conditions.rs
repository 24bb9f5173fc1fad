use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// True when the object has reached what it asked for.
pub const READY: &str = "Ready";
/// True while the operator works towards it.
pub const RECONCILING: &str = "Reconciling";
/// True when it can't get there without somebody's help.
pub const STALLED: &str = "Stalled";

/// Sets one condition, and moves its transition time only if its status changes.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    type_: &str,
    holds: bool,
    (reason, message): (&str, &str),
    observed_generation: Option<i64>,
    now: Timestamp,
) {
    let status = if holds { "True" } else { "False" };
    let since = conditions
        .iter()
        .find(|c| c.type_ == type_ && c.status == status)
        .map_or(Time(now), |c| c.last_transition_time.clone());
    conditions.retain(|c| c.type_ != type_);
    conditions.push(Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: since,
        observed_generation,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(60).unwrap());
        let mut conditions = Vec::new();
        set_condition(&mut conditions, READY, false, ("A", ""), None, early);
        set_condition(&mut conditions, READY, false, ("B", ""), None, late);
        assert_eq!(conditions[0].last_transition_time, Time(early));
        assert_eq!(conditions[0].reason, "B");
        set_condition(&mut conditions, READY, true, ("C", ""), None, late);
        assert_eq!(conditions[0].last_transition_time, Time(late));
        assert_eq!(conditions.len(), 1);
    }
}
