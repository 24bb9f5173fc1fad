//! Switches for everything that can go wrong between a client and Proxmox.
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One thing that goes wrong. `when` says for which requests; without it, for the next one that changes something.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(tag = "fault", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Fault {
    /// The connection breaks before the request reaches anything that would act on it.
    LostRequest {
        /// Which requests are hit.
        #[serde(default)]
        when: Trigger,
    },
    /// The request is executed and the connection breaks before the answer.
    LostResponse {
        /// Which requests are hit.
        #[serde(default)]
        when: Trigger,
    },
    /// The request is executed at once and the answer comes late.
    LateResponse {
        /// Which requests are hit.
        #[serde(default)]
        when: Trigger,
        /// How late.
        seconds: f64,
    },
    /// Another answer is given, such as 500 or one of Proxmox's own 595 to 599.
    Answer {
        /// Which requests are hit.
        #[serde(default)]
        when: Trigger,
        /// The status code.
        status: u16,
        /// The reason phrase; a usual one for the status where it is left out.
        #[serde(default)]
        reason: Option<String>,
        /// Whether the request is executed all the same.
        #[serde(default)]
        executed: bool,
    },
    /// Tasks take longer.
    SlowTask {
        /// The task types this holds for; empty means all.
        #[serde(default)]
        types: Vec<String>,
        /// How much longer.
        seconds: f64,
    },
    /// Task lists show a task only some time after it began.
    LaggingTaskList {
        /// How long a new task stays out of the lists.
        seconds: f64,
    },
    /// Task lists never show some tasks.
    LossyTaskList {
        /// The task types that are missing; empty means all.
        #[serde(default)]
        types: Vec<String>,
    },
    /// The daemon restarts: running tasks end as `unexpected status`, every connection breaks.
    Restart {
        /// Which requests are hit.
        #[serde(default)]
        when: Trigger,
        /// Whether the request that triggers it is still executed.
        #[serde(default)]
        executed: bool,
    },
}

/// Which requests a fault hits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Trigger {
    /// An HTTP method, `*` for every one; without it, all that change something.
    pub method: Option<String>,
    /// A path below `/api2/json`, in which `*` stands for one segment and a last `**` for the rest.
    pub path: Option<String>,
    /// How many matching requests pass before the fault begins.
    pub skip: u32,
    /// How many are hit then; 0 means every one.
    pub times: u32,
}

impl Default for Trigger {
    fn default() -> Self {
        Self { method: None, path: None, skip: 0, times: 1 }
    }
}

impl Trigger {
    fn matches(&self, method: &str, path: &str) -> bool {
        let by_method = match self.method.as_deref() {
            None => method != "GET" && path != "/access/ticket",
            Some("*") => true,
            Some(wanted) => wanted == method,
        };
        by_method && self.path.as_deref().is_none_or(|pattern| matches_path(pattern, path))
    }

    fn hits(&self, nth: u32) -> bool {
        nth >= self.skip && (self.times == 0 || nth < self.skip + self.times)
    }
}

fn matches_path(pattern: &str, path: &str) -> bool {
    let mut wanted = pattern.split('/').filter(|part| !part.is_empty());
    let mut actual = path.split('/').filter(|part| !part.is_empty());
    loop {
        match (wanted.next(), actual.next()) {
            (Some("**"), _) | (None, None) => return true,
            (Some(wanted), Some(actual)) if wanted == "*" || wanted == actual => {}
            _ => return false,
        }
    }
}

/// What happens to one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Disturbance {
    pub(super) lose_request: bool,
    pub(super) lose_response: bool,
    pub(super) delay: Option<Duration>,
    pub(super) instead: Option<Instead>,
    pub(super) restart: Option<Executed>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Instead {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) executed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Executed(pub(super) bool);

/// The faults that are switched on, with how often each has been met.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<(Fault, u32)>);

impl Faults {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self(faults.into_iter().map(|fault| (fault, 0)).collect())
    }

    pub(super) fn list(&self) -> Vec<Fault> {
        self.0.iter().map(|(fault, _)| fault.clone()).collect()
    }

    /// Counts the request against every fault that it matches.
    pub(super) fn meet(&mut self, method: &str, path: &str) -> Disturbance {
        let mut disturbance = Disturbance::default();
        for (fault, met) in &mut self.0 {
            let Some(when) = trigger(fault).filter(|when| when.matches(method, path)) else {
                continue;
            };
            if when.hits(*met) {
                disturb(&mut disturbance, fault);
            }
            *met += 1;
        }
        disturbance
    }

    pub(super) fn extra_task_time(&self, kind: &str) -> Duration {
        let extra = self.0.iter().filter_map(|(fault, _)| match fault {
            Fault::SlowTask { types, seconds } if concerns(types, kind) => Some(seconds_of(*seconds)),
            _ => None,
        });
        extra.sum()
    }

    pub(super) fn list_lag(&self) -> Duration {
        let lags = self.0.iter().filter_map(|(fault, _)| match fault {
            Fault::LaggingTaskList { seconds } => Some(seconds_of(*seconds)),
            _ => None,
        });
        lags.max().unwrap_or_default()
    }

    pub(super) fn loses_row(&self, kind: &str) -> bool {
        self.0
            .iter()
            .any(|(fault, _)| matches!(fault, Fault::LossyTaskList { types } if concerns(types, kind)))
    }
}

fn concerns(types: &[String], kind: &str) -> bool {
    types.is_empty() || types.iter().any(|wanted| wanted == kind)
}

/// Durations come from files; nonsense counts as none.
pub(super) fn seconds_of(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn trigger(fault: &Fault) -> Option<&Trigger> {
    match fault {
        Fault::LostRequest { when }
        | Fault::LostResponse { when }
        | Fault::LateResponse { when, .. }
        | Fault::Answer { when, .. }
        | Fault::Restart { when, .. } => Some(when),
        Fault::SlowTask { .. } | Fault::LaggingTaskList { .. } | Fault::LossyTaskList { .. } => None,
    }
}

fn disturb(disturbance: &mut Disturbance, fault: &Fault) {
    match fault {
        Fault::LostRequest { .. } => disturbance.lose_request = true,
        Fault::LostResponse { .. } => disturbance.lose_response = true,
        Fault::LateResponse { seconds, .. } => disturbance.delay = Some(seconds_of(*seconds)),
        Fault::Answer { status, reason, executed, .. } => {
            let reason = reason.clone().unwrap_or_else(|| usual_reason(*status).to_owned());
            disturbance.instead = Some(Instead { status: *status, reason, executed: *executed });
        }
        Fault::Restart { executed, .. } => disturbance.restart = Some(Executed(*executed)),
        Fault::SlowTask { .. } | Fault::LaggingTaskList { .. } | Fault::LossyTaskList { .. } => {}
    }
}

fn usual_reason(status: u16) -> &'static str {
    match status {
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        595 => "Connection refused",
        596 => "Broken pipe",
        597 => "Connection reset by peer",
        _ => "Connection timed out",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start_of(vmid: u32) -> String {
        format!("/nodes/pve1/qemu/{vmid}/status/start")
    }

    #[test]
    fn a_fault_without_a_trigger_hits_the_next_change_once() {
        let mut faults = Faults::new(vec![Fault::LostRequest { when: Trigger::default() }]);
        assert!(!faults.meet("GET", "/version").lose_request);
        assert!(!faults.meet("POST", "/access/ticket").lose_request);
        assert!(faults.meet("POST", &start_of(100)).lose_request);
        assert!(!faults.meet("POST", &start_of(100)).lose_request);
    }

    #[test]
    fn a_trigger_may_skip_and_repeat() {
        let when = Trigger { skip: 1, times: 2, ..Trigger::default() };
        let mut faults = Faults::new(vec![Fault::LostResponse { when }]);
        let hits: Vec<bool> = (0..4).map(|_| faults.meet("POST", "/pools").lose_response).collect();
        assert_eq!(hits, [false, true, true, false]);
    }

    #[test]
    fn a_star_stands_for_one_segment() {
        assert!(matches_path("/nodes/*/qemu/*/status/start", &start_of(100)));
        assert!(!matches_path("/nodes/*/status/start", &start_of(100)));
        assert!(matches_path("/nodes/**", &start_of(100)));
    }

    #[test]
    fn a_fault_reads_the_same_from_yaml_and_json() {
        let yaml = "- {fault: answer, status: 596, when: {method: POST, path: /pools}}\n- {fault: laggingTaskList, seconds: 2}";
        let from_yaml: Vec<Fault> = serde_saphyr::from_str(yaml).unwrap();
        let json = serde_json::to_string(&from_yaml).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Fault>>(&json).unwrap(), from_yaml);
        assert!(serde_json::from_str::<Fault>(r#"{"fault":"lostRequest","whenn":{}}"#).is_err());
    }
}
