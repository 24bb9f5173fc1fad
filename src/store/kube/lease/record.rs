//! What a Lease says, and what is written into it. As `kubectl get lease` and other programs know it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};

use super::LASTS;

/// The time for which one replica leads. A replica that begins anew under its old name begins a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) holder: String,
    number: i32,
}

impl Term {
    /// Or none, if nobody leads.
    pub(super) fn of(lease: &Lease) -> Option<Self> {
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.filter(|holder| !holder.is_empty())?;
        Some(Self { holder, number: spec.lease_transitions.unwrap_or_default() })
    }
}

/// A Lease that nobody has made yet.
pub(super) fn made(name: &str, me: &str, now: Timestamp) -> Lease {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let mut lease = Lease { metadata, spec: None };
    take(&mut lease, me, now);
    lease
}

pub(super) fn take(lease: &mut Lease, me: &str, now: Timestamp) {
    let spec = lease.spec.get_or_insert_default();
    spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |number| number.saturating_add(1)));
    spec.holder_identity = Some(me.to_owned());
    spec.lease_duration_seconds = i32::try_from(LASTS.as_secs()).ok();
    spec.acquire_time = Some(MicroTime(now));
    spec.renew_time = Some(MicroTime(now));
}

pub(super) fn renew(lease: &mut Lease, now: Timestamp) {
    lease.spec.get_or_insert_default().renew_time = Some(MicroTime(now));
}

pub(super) fn release(lease: &mut Lease, now: Timestamp) {
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = Some(String::new());
    spec.renew_time = Some(MicroTime(now));
}

/// Somebody else's Lease, watched for signs of life.
///
/// The moments that stand in it are of another machine's clock and are never compared with one of ours: it has lapsed when
/// nothing in it has changed for as long as it lasts, by the clock of the one who watches.
#[derive(Debug, Default)]
pub(super) struct Watched {
    last: Option<(LeaseSpec, Duration)>,
}

impl Watched {
    /// `now` is a moment at which the Lease had been read already: whoever renewed it did so before.
    pub(super) fn has_lapsed(&mut self, lease: &Lease, now: Duration) -> bool {
        let spec = lease.spec.clone().unwrap_or_default();
        let lasts = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let lasts = lasts.map_or(LASTS, Duration::from_secs).max(LASTS);
        match &self.last {
            Some((known, since)) if *known == spec => now.saturating_sub(*since) >= lasts,
            _ => {
                self.last = Some((spec, now));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn spec(lease: &Lease) -> &LeaseSpec {
        lease.spec.as_ref().unwrap()
    }

    #[test]
    fn each_new_term_is_counted_and_dated_and_a_renewal_is_not() {
        let mut lease = made("proxmox-agent", "a", at(10));
        let first = Term::of(&lease).unwrap();
        renew(&mut lease, at(15));
        assert_eq!(Term::of(&lease).unwrap(), first);
        assert_eq!(
            (spec(&lease).acquire_time.clone(), spec(&lease).lease_transitions),
            (Some(MicroTime(at(10))), Some(0))
        );
        assert_eq!(spec(&lease).renew_time, Some(MicroTime(at(15))));
        take(&mut lease, "a", at(20));
        assert_ne!(Term::of(&lease).unwrap(), first, "the same name, and another life");
        assert_eq!(
            (spec(&lease).acquire_time.clone(), spec(&lease).lease_transitions),
            (Some(MicroTime(at(20))), Some(1))
        );
        assert_eq!(spec(&lease).lease_duration_seconds, Some(15));
    }

    #[test]
    fn a_lease_that_was_released_or_never_held_is_nobodys() {
        let mut lease = made("proxmox-agent", "a", at(10));
        release(&mut lease, at(12));
        assert_eq!(Term::of(&lease), None);
        assert_eq!(Term::of(&Lease::default()), None);
        take(&mut lease, "b", at(13));
        assert_eq!(spec(&lease).lease_transitions, Some(1));
    }

    #[test]
    fn a_lease_has_lapsed_when_nothing_changed_in_it_for_as_long_as_it_lasts_whatever_its_dates_say() {
        let (mut watched, mut lease) = (Watched::default(), made("proxmox-agent", "a", at(0)));
        let seconds = Duration::from_secs;
        assert!(!watched.has_lapsed(&lease, seconds(1000)), "its dates are long past, by our clock");
        assert!(!watched.has_lapsed(&lease, seconds(1014)));
        renew(&mut lease, at(-500));
        assert!(!watched.has_lapsed(&lease, seconds(1016)), "its clock was set back, and it lives");
        assert!(!watched.has_lapsed(&lease, seconds(1030)));
        assert!(watched.has_lapsed(&lease, seconds(1031)));
    }

    #[test]
    fn whoever_holds_it_for_longer_is_waited_for_longer_and_nobody_for_less() {
        let mut lease = made("proxmox-agent", "a", at(0));
        for (says, lapsed) in [
            (Some(60), [false, true]),
            (Some(1), [true, true]),
            (Some(-1), [true, true]),
            (None, [true, true]),
        ] {
            lease.spec.as_mut().unwrap().lease_duration_seconds = says;
            let mut watched = Watched::default();
            assert!(!watched.has_lapsed(&lease, Duration::ZERO));
            assert!(!watched.has_lapsed(&lease, LASTS - Duration::from_millis(1)), "{says:?}");
            let found = [15, 60].map(|second| watched.has_lapsed(&lease, Duration::from_secs(second)));
            assert_eq!(found, lapsed, "{says:?}");
        }
    }
}
