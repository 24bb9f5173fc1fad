//! Since when the names in plans and approvals are forced by the API server's admission policies.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::AdmissionRecord;

use super::approval::Proof;

/// How long an API server may take to notice that its policies have changed. What comes in meanwhile proves nothing.
const SETTLING: SignedDuration = SignedDuration::from_secs(5);

/// What a home has to say about its admission policies, right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is a directory, which has none.
    Directory,
    /// The owner does without them, and has said so.
    Waived,
    Policies(Policies),
}

/// The admission policies as they stand on the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// Another one after each change, also if it was taken back.
    pub revision: String,
    /// Since when they are as they are, if they have never been changed: whoever takes a change back can't hide it.
    pub unchanged_since: Option<Timestamp>,
    /// Which of them are missing or not as they should be.
    pub problems: Vec<String>,
}

/// What a name in a plan or an approval is worth, given what is known of an environment's past.
pub fn proof(admission: &Admission, record: Option<&AdmissionRecord>) -> Proof {
    let policies = match admission {
        Admission::Directory => return Proof::DirectoryAccess,
        Admission::Waived => return Proof::ApiServer,
        Admission::Policies(policies) => policies,
    };
    if !policies.problems.is_empty() {
        return Proof::NotInForce(policies.problems.join("; "));
    }
    let on_record = record.filter(|record| record.revision == policies.revision).map(|record| record.since.0);
    // What the API server itself dates needs no record, which others may have written to while nothing stopped them.
    match policies.unchanged_since.or(on_record) {
        Some(since) => Proof::Admission { since: since.saturating_add(SETTLING).unwrap_or(Timestamp::MAX) },
        None => Proof::NotInForce("they have changed a moment ago".to_owned()),
    }
}

/// What to remember: the moment from which they are known to stand as they are. `now` is the API server's clock.
pub fn record(
    policies: &Policies,
    before: Option<&AdmissionRecord>,
    now: Timestamp,
) -> Option<AdmissionRecord> {
    if !policies.problems.is_empty() {
        return None;
    }
    let known = before.filter(|record| record.revision == policies.revision).map(|record| record.since.0);
    let since = policies.unchanged_since.or(known).unwrap_or(now);
    Some(AdmissionRecord { revision: policies.revision.clone(), since: Time(since) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn fine(revision: &str, unchanged_since: Option<i64>) -> Policies {
        let unchanged_since = unchanged_since.map(at);
        Policies { revision: revision.to_owned(), unchanged_since, problems: vec![] }
    }

    fn broken() -> Policies {
        Policies { problems: vec!["plans is missing".to_owned()], ..Policies::default() }
    }

    fn on_record(revision: &str, since: i64) -> AdmissionRecord {
        AdmissionRecord { revision: revision.to_owned(), since: Time(at(since)) }
    }

    fn counts_from(policies: &Policies, record: Option<&AdmissionRecord>) -> Option<Timestamp> {
        match proof(&Admission::Policies(policies.clone()), record) {
            Proof::Admission { since } => Some(since),
            _ => None,
        }
    }

    #[test]
    fn policies_that_were_never_changed_need_no_record_and_count_once_they_have_settled() {
        assert_eq!(counts_from(&fine("a", Some(100)), None), Some(at(105)));
        assert_eq!(counts_from(&fine("a", Some(100)), Some(&on_record("a", 100))), Some(at(105)));
    }

    #[test]
    fn policies_that_were_changed_and_put_back_count_from_when_they_were_seen_so() {
        let policies = fine("b", None);
        for outdated in [None, Some(on_record("a", 100))] {
            assert_eq!(counts_from(&policies, outdated.as_ref()), None, "nobody has seen them yet");
        }
        let seen = record(&policies, Some(&on_record("a", 100)), at(200));
        assert_eq!(seen, Some(on_record("b", 200)));
        assert_eq!(counts_from(&policies, seen.as_ref()), Some(at(205)));
        assert_eq!(record(&policies, seen.as_ref(), at(300)), seen, "once seen, the moment stays");
    }

    #[test]
    fn policies_that_were_made_anew_count_from_then_whatever_was_on_record() {
        let anew = fine("b", Some(500));
        assert_eq!(counts_from(&anew, Some(&on_record("a", 100))), Some(at(505)));
        assert_eq!(record(&anew, Some(&on_record("a", 100)), at(900)), Some(on_record("b", 500)));
    }

    #[test]
    fn a_record_that_somebody_has_made_older_proves_nothing_that_the_policies_themselves_deny() {
        let forged = on_record("a", 1);
        assert_eq!(counts_from(&fine("a", Some(100)), Some(&forged)), Some(at(105)));
        assert_eq!(record(&fine("a", Some(100)), Some(&forged), at(200)), Some(on_record("a", 100)));
    }

    #[test]
    fn while_they_are_not_as_they_should_be_nothing_counts_and_nothing_is_remembered() {
        let told = proof(&Admission::Policies(broken()), Some(&on_record("a", 100)));
        assert_eq!(told, Proof::NotInForce("plans is missing".to_owned()));
        assert_eq!(record(&broken(), Some(&on_record("a", 100)), at(200)), None);
    }

    #[test]
    fn a_clock_that_was_put_back_only_makes_approvals_wait() {
        // They were made when the clock was an hour ahead: until it has come there again nothing counts.
        assert_eq!(counts_from(&fine("a", Some(3700)), None), Some(at(3705)));
        let seen = record(&fine("a", Some(3700)), None, at(100));
        assert_eq!(seen, Some(on_record("a", 3700)));
    }

    #[test]
    fn a_home_without_policies_says_so() {
        assert_eq!(proof(&Admission::Directory, None), Proof::DirectoryAccess);
        assert_eq!(proof(&Admission::Waived, Some(&on_record("a", 100))), Proof::ApiServer);
    }

    /// What may happen to the policies, a second each.
    #[derive(Clone, Copy, Debug)]
    enum Happening {
        Nothing,
        Changed,
        PutBack,
        Removed,
        MadeAnew,
        /// The operator, which may be away for any time, writes its record.
        Seen,
        /// Somebody writes an approval: in a false name if nothing stops it.
        Approved,
    }

    /// The policies on an API server, as one object.
    #[derive(Clone, Copy)]
    struct Server {
        uid: u32,
        generation: u32,
        made: i64,
        there: bool,
        as_it_should_be: bool,
    }

    impl Server {
        fn policies(self) -> Policies {
            if !self.there || !self.as_it_should_be {
                return broken();
            }
            let untouched = (self.generation == 1).then_some(self.made);
            fine(&format!("{}/{}", self.uid, self.generation), untouched)
        }

        fn after(self, happening: Happening, now: i64) -> Self {
            let changed = |as_it_should_be| Self { generation: self.generation + 1, as_it_should_be, ..self };
            match happening {
                Happening::Changed if self.there && self.as_it_should_be => changed(false),
                Happening::PutBack if self.there && !self.as_it_should_be => changed(true),
                Happening::Removed => Self { there: false, ..self },
                Happening::MadeAnew if !self.there => {
                    Self { uid: self.uid + 1, generation: 1, made: now, there: true, as_it_should_be: true }
                }
                _ => self,
            }
        }
    }

    fn happening() -> impl Strategy<Value = Happening> {
        use Happening::*;
        prop::sample::select(vec![Nothing, Changed, PutBack, Removed, MadeAnew, Seen, Approved])
    }

    proptest! {
        #[test]
        fn no_approval_from_a_time_without_policies_ever_counts(story in prop::collection::vec(happening(), 1..60)) {
            let mut server = Server { uid: 1, generation: 1, made: 0, there: true, as_it_should_be: true };
            let (mut record, mut forged) = (None, Vec::new());
            for (second, happening) in (1_i64..).zip(story) {
                let policies = server.policies();
                match happening {
                    Happening::Seen => record = super::record(&policies, record.as_ref(), at(second)),
                    Happening::Approved if !policies.problems.is_empty() => forged.push(at(second)),
                    _ => {}
                }
                server = server.after(happening, second);
                if let Some(since) = counts_from(&server.policies(), record.as_ref()) {
                    prop_assert!(forged.iter().all(|made| *made < since), "{since}: {forged:?}");
                }
            }
        }
    }
}
