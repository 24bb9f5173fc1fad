//! What is known of the endpoints of one cluster: which of them last worked, and whether they are one cluster at all.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::{endpoint::Endpoint, members::Members, read_error::ReadError};

/// What an endpoint said of the cluster that it belongs to.
pub(super) type Greeting = Result<Members, ReadError>;

pub(super) struct Acquaintance {
    state: Mutex<State>,
    /// Held while all are asked, so that everybody who wants to know waits for one answer.
    meeting: tokio::sync::Mutex<()>,
}

struct State {
    /// The one that last worked.
    preferred: usize,
    /// Which have shown that they belong to the cluster, and have not failed to answer since.
    known: Vec<bool>,
    /// The cluster, as it was last met.
    cluster: Option<Members>,
    disagreement: Option<String>,
    met_at: Option<Instant>,
}

impl Acquaintance {
    pub(super) fn with(endpoints: usize) -> Self {
        let state = State {
            preferred: 0,
            // One endpoint alone agrees with itself.
            known: vec![endpoints == 1; endpoints],
            cluster: None,
            disagreement: None,
            met_at: None,
        };
        Self { state: Mutex::new(state), meeting: tokio::sync::Mutex::default() }
    }

    pub(super) fn remember(&mut self, cluster: Members) {
        self.state().cluster = Some(cluster).filter(|cluster| !cluster.is_empty());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn meeting(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.meeting.lock().await
    }

    pub(super) fn is_new(&self) -> bool {
        self.state().met_at.is_none()
    }

    pub(super) fn has_met_since(&self, moment: Instant) -> bool {
        self.state().met_at.is_some_and(|met_at| met_at > moment)
    }

    pub(super) fn disagreement(&self) -> Option<String> {
        self.state().disagreement.clone()
    }

    pub(super) fn preferred(&self) -> usize {
        self.state().preferred
    }

    pub(super) fn prefer(&self, place: usize) {
        self.state().preferred = place;
    }

    /// The one that last worked, then the others as they are written down.
    pub(super) fn order(&self) -> Vec<usize> {
        let state = self.state();
        let others = (0..state.known.len()).filter(|place| *place != state.preferred);
        std::iter::once(state.preferred).chain(others).collect()
    }

    pub(super) fn knows(&self, place: usize) -> bool {
        self.state().known[place]
    }

    /// Whoever comes back at this address has to say again who it is.
    pub(super) fn forget(&self, place: usize) {
        let mut state = self.state();
        state.known[place] = state.known.len() == 1;
    }

    /// All were asked: those that answered have to be one cluster. Where all have answered, nothing that was known before
    /// counts against them; else they have to be the cluster that was met before.
    pub(super) fn compare(&self, endpoints: &[Endpoint], greetings: Vec<Greeting>) {
        let all_answered = greetings.iter().all(Result::is_ok);
        let mut state = self.state();
        if all_answered {
            state.cluster = None;
        }
        state.met_at = Some(Instant::now());
        state.known.fill(false);
        if greetings.iter().any(Result::is_ok) {
            state.disagreement = None;
        }
        for (place, members) in greetings.into_iter().enumerate() {
            if let Ok(members) = members {
                state.greet(endpoints, place, members);
            }
        }
    }

    /// One more has answered.
    pub(super) fn greet(&self, endpoints: &[Endpoint], place: usize, members: Members) {
        self.state().greet(endpoints, place, members);
    }
}

impl State {
    fn greet(&mut self, endpoints: &[Endpoint], place: usize, members: Members) {
        let endpoint = &endpoints[place];
        let problem = match &self.cluster {
            _ if members.is_empty() => Some(format!("{endpoint} does not tell which cluster it belongs to")),
            Some(cluster) if !cluster.same_cluster(&members) => Some(format!(
                "{endpoint} belongs to the cluster of {}, {} to that of {}",
                members.names(),
                self.the_others(endpoints, place),
                cluster.names()
            )),
            _ => None,
        };
        match problem {
            Some(problem) => {
                self.known[place] = false;
                self.disagreement.get_or_insert(format!(
                    "spec.endpoints: {problem}. Give only addresses of one cluster; nothing is sent until then"
                ));
            }
            None => {
                self.known[place] = true;
                self.cluster = Some(members);
            }
        }
    }

    fn the_others(&self, endpoints: &[Endpoint], place: usize) -> String {
        let known = endpoints.iter().enumerate().filter(|(other, _)| *other != place && self.known[*other]);
        let names: Vec<&str> = known.map(|(_, endpoint)| endpoint.as_str()).collect();
        if names.is_empty() { "what was met before".to_owned() } else { names.join(" and ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::read_error::Asked;

    fn endpoints() -> Vec<Endpoint> {
        ["https://a:8006", "https://b:8006"].map(|text| Endpoint::parse(text).unwrap()).into()
    }

    fn cluster(certificate: &str) -> Members {
        Members::met([("pve", certificate)].into_iter())
    }

    fn silent() -> Greeting {
        let asked = Asked { request: "GET /nodes".to_owned(), endpoint: "https://b:8006".to_owned() };
        Err(ReadError::Unreachable { asked, why: "gone".to_owned() })
    }

    #[test]
    fn two_clusters_are_named_with_their_addresses() {
        let met = Acquaintance::with(2);
        met.compare(&endpoints(), vec![Ok(cluster("AA")), Ok(cluster("BB"))]);
        let why = met.disagreement().unwrap();
        assert!(why.contains("https://a:8006") && why.contains("https://b:8006"), "{why}");
    }

    #[test]
    fn whoever_answers_alone_has_to_be_the_cluster_that_was_met_before() {
        let mut met = Acquaintance::with(2);
        met.remember(cluster("AA"));
        met.compare(&endpoints(), vec![silent(), Ok(cluster("BB"))]);
        assert!(met.disagreement().is_some());
        met.compare(&endpoints(), vec![silent(), Ok(cluster("AA"))]);
        assert_eq!(met.disagreement(), None);
    }

    #[test]
    fn a_cluster_that_was_installed_anew_is_taken_for_itself_once_all_agree() {
        let mut met = Acquaintance::with(2);
        met.remember(cluster("AA"));
        met.compare(&endpoints(), vec![Ok(cluster("BB")), Ok(cluster("BB"))]);
        assert_eq!(met.disagreement(), None);
    }

    #[test]
    fn a_disagreement_stands_until_somebody_answers_otherwise() {
        let met = Acquaintance::with(2);
        met.compare(&endpoints(), vec![Ok(cluster("AA")), Ok(cluster("BB"))]);
        met.compare(&endpoints(), vec![silent(), silent()]);
        assert!(met.disagreement().is_some());
    }

    #[test]
    fn an_endpoint_that_does_not_say_who_it_is_is_not_trusted() {
        let met = Acquaintance::with(2);
        met.compare(&endpoints(), vec![Ok(cluster("AA")), Ok(Members::default())]);
        assert!(met.disagreement().unwrap().contains("https://b:8006"));
    }

    #[test]
    fn an_endpoint_that_was_lost_has_to_introduce_itself_again() {
        let met = Acquaintance::with(2);
        met.compare(&endpoints(), vec![Ok(cluster("AA")), Ok(cluster("AA"))]);
        assert!(met.knows(0) && met.knows(1));
        met.forget(1);
        assert!(met.knows(0) && !met.knows(1));
    }
}
