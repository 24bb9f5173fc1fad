//! How far the clocks of nodes are from ours: intents and the start times of tasks are compared by them.

use jiff::{SignedDuration, Timestamp};

use crate::api::NodeStatus;

/// Beyond this people are told.
const TOLERABLE_SECONDS: u64 = 30;
/// Nodes tell whole seconds, and an answer takes its time: less than this is no news.
const NOISE_SECONDS: u64 = 2;

/// How far a node that said `told` is ahead, if it was asked between these two moments.
pub fn seconds_ahead(told: Timestamp, asked: Timestamp, answered: Timestamp) -> i64 {
    let then = asked.saturating_add(answered.duration_since(asked) / 2).unwrap_or(asked);
    // On average half a second has passed since the second that it tells.
    let ahead = told.duration_since(then).saturating_add(SignedDuration::from_millis(500));
    (ahead.as_millis() + 499).div_euclid(1000).try_into().unwrap_or(i64::MAX)
}

/// Keeps what was measured before where the difference is only noise, so that nothing is written again and again.
pub fn steadied(measured: Vec<NodeStatus>, before: &[NodeStatus]) -> Vec<NodeStatus> {
    let steady = |mut node: NodeStatus| {
        let known = before.iter().find(|known| known.name == node.name);
        if let (Some(was), Some(is)) =
            (known.and_then(|known| known.clock_ahead_seconds), node.clock_ahead_seconds)
            && is.abs_diff(was) <= NOISE_SECONDS
        {
            node.clock_ahead_seconds = Some(was);
        }
        node
    };
    measured.into_iter().map(steady).collect()
}

/// What is wrong with the clocks, in words.
pub fn complaint(nodes: &[NodeStatus]) -> Option<String> {
    let wrong: Vec<String> = nodes
        .iter()
        .filter_map(|node| Some((node, node.clock_ahead_seconds?)))
        .filter(|(_, ahead)| ahead.unsigned_abs() > TOLERABLE_SECONDS)
        .take(5)
        .map(|(node, ahead)| {
            let direction = if ahead > 0 { "ahead of" } else { "behind" };
            format!(
                "the clock of node {} is {} s {direction} the operator's",
                node.name,
                ahead.unsigned_abs()
            )
        })
        .collect();
    (!wrong.is_empty()).then(|| format!("{}; let both follow a time server", wrong.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_795_222_270_000 + milliseconds).unwrap()
    }

    fn node(ahead: Option<i64>) -> NodeStatus {
        NodeStatus { name: "pve1".into(), certificate: "AA".into(), clock_ahead_seconds: ahead }
    }

    #[test]
    fn a_clock_that_agrees_is_not_ahead_whenever_in_its_second_it_is_asked() {
        for now in [0, 300, 700, 999] {
            let told = at(now / 1000 * 1000);
            assert_eq!(seconds_ahead(told, at(now), at(now)), 0, "{now}");
        }
        assert_eq!(seconds_ahead(at(100_000), at(0), at(400)), 100);
        assert_eq!(seconds_ahead(at(-100_000), at(0), at(400)), -100);
    }

    #[test]
    fn an_answer_that_takes_long_does_not_make_a_clock_wrong() {
        assert_eq!(seconds_ahead(at(5000), at(0), at(10_000)), 0);
    }

    #[test]
    fn noise_is_no_news_and_a_step_is() {
        assert_eq!(steadied(vec![node(Some(1))], &[node(Some(-1))]), [node(Some(-1))]);
        assert_eq!(steadied(vec![node(Some(3))], &[node(Some(0))]), [node(Some(3))]);
        assert_eq!(steadied(vec![node(None)], &[node(Some(0))]), [node(None)]);
    }

    #[test]
    fn a_clock_that_is_half_a_minute_off_is_complained_of() {
        assert_eq!(complaint(&[node(Some(30)), node(Some(-30)), node(None)]), None);
        assert!(complaint(&[node(Some(31))]).unwrap().contains("pve1 is 31 s ahead of"));
        assert!(complaint(&[node(Some(-95))]).unwrap().contains("pve1 is 95 s behind"));
    }
}
