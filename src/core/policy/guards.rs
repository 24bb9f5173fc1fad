//! What stops a plan, and what only warns.

use jiff::Timestamp;

use crate::{
    api::{Decided, GuardMode, PolicyRule, Risk},
    core::judge::Denial,
};

use super::{
    Policy,
    demand::rule_named,
    facts::Case,
    freeze::{self, On},
    protection,
    ruling::Hold,
};

/// A rule of the policy refuses the plan.
const POLICY_DENIED: &str = "PolicyDenied";
/// It would hit somebody who is protected.
const TARGET_PROTECTED: &str = "TargetProtected";

/// What the guards make of a plan.
#[derive(Debug, Default)]
pub(super) struct Guarded {
    denials: Vec<(&'static str, String)>,
    /// Of guards that fail first, then of rules.
    pub warnings: Vec<String>,
    pub decided: Vec<Decided>,
    pub hold: Option<Hold>,
}

impl Policy {
    pub(super) fn guard(&self, case: Case<'_>, rules: &[&PolicyRule], risk: Risk) -> Guarded {
        let mut guarded = Guarded::default();
        self.denies(rules, &mut guarded);
        self.protects(case, risk, &mut guarded);
        for rule in rules.iter().filter(|rule| !rule.guard.is_empty()) {
            self.fails(POLICY_DENIED, &rule_named(rule), &rule.guard, &mut guarded);
        }
        self.freezes(case, &mut guarded);
        for rule in rules.iter().filter(|rule| !rule.warn.is_empty()) {
            guarded.warnings.push(format!("{} ({})", rule.warn, rule_named(rule)));
            guarded.decided.push(decided(&rule_named(rule), format!("warned: {}", rule.warn)));
        }
        guarded
    }

    fn denies(&self, rules: &[&PolicyRule], guarded: &mut Guarded) {
        for rule in rules.iter().filter(|rule| !rule.deny.is_empty()) {
            let by = rule_named(rule);
            guarded.denials.push((POLICY_DENIED, self.told(&by, &rule.deny)));
        }
    }

    fn protects(&self, case: Case<'_>, risk: Risk, guarded: &mut Guarded) {
        let violated = protection::violated(&self.protection, case, risk);
        if violated.is_empty() {
            return;
        }
        let shown: Vec<&str> = violated.iter().take(8).map(String::as_str).collect();
        let more = match violated.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message = format!("{}{more}: nothing of risk {risk} may hit it", shown.join(", "));
        self.fails(TARGET_PROTECTED, "protection", &message, guarded);
    }

    /// A guard fails: what that means is a knob.
    fn fails(&self, reason: &'static str, by: &str, message: &str, guarded: &mut Guarded) {
        let mode = self.knobs.guards();
        match mode.value {
            GuardMode::Stop => guarded.denials.push((reason, self.told(by, message))),
            GuardMode::Warn => {
                guarded.warnings.push(format!("{message} ({by}; only a warning by {})", mode.by));
                guarded.decided.push(decided(by, format!("warned: {message}")));
            }
        }
    }

    /// A plan can be looked at and approved meanwhile; it is only not sent.
    fn freezes(&self, case: Case<'_>, guarded: &mut Guarded) {
        if case.request.action.is_read() || case.request.dry_run {
            return;
        }
        let on: Vec<On<'_>> = self.freezes_on(case.now);
        let mode = self.knobs.guards();
        for freeze in &on {
            let (warning, what) = match mode.value {
                GuardMode::Stop => (freeze.told(), "not sent before it is over"),
                GuardMode::Warn => (format!("{}; only a warning by {}", freeze.told(), mode.by), "warned"),
            };
            guarded.warnings.push(warning);
            guarded.decided.push(decided(freeze.by, what.to_owned()));
        }
        guarded.hold = freeze::hold(&on).filter(|_| mode.value == GuardMode::Stop);
    }

    fn freezes_on(&self, now: Timestamp) -> Vec<On<'_>> {
        self.freezes.iter().filter_map(|freeze| freeze.on(now, &self.zone)).collect()
    }

    fn told(&self, by: &str, message: &str) -> String {
        format!("{by} of {}, revision {}: {message}", self.origin.told(), self.origin.revision)
    }
}

impl Guarded {
    /// All that refuse it, together.
    pub(super) fn denial(&self) -> Option<Denial> {
        let (reason, _) = self.denials.first()?;
        let messages: Vec<&str> = self.denials.iter().map(|(_, message)| message.as_str()).collect();
        Some(Denial { reason, message: messages.join("; ") })
    }
}

fn decided(by: &str, what: String) -> Decided {
    Decided { by: by.to_owned(), what }
}
