//! One run: somebody asks for something, at one call something happens, and it has to end well all the same.

use std::{
    fmt,
    pin::pin,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use kube::ResourceExt;
use proxmox_agent::{
    api::{Phase, PlanStatus},
    core::lifecycle::LEFT_AS_IT_IS,
    pve::sim::{self, LedgerEntry, Outcome},
};
use serde_json::Value;

use crate::{
    audit,
    call::Effect,
    classes::{Class, TOKEN},
    gate::{Boundary, Fault, MUTATION},
    oracle,
    people::{PATIENCE, PLAN},
    process::Process,
    site::{REQUEST_SECONDS, Site, Stage},
    support::promises::{Broken, Promise},
};

/// When the counting begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scenario {
    /// The operator waits, and a plan is made.
    Request,
    /// A plan is there, and the operator begins.
    Beginning,
    /// An operator has died while its call was under way, and another one begins.
    Recovery,
    /// What became of a first attempt is unknown, and somebody decides to send it again.
    Again,
    /// The same, and somebody decides to leave it as it is.
    Leaving,
}

/// One run of the grid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) class: String,
    pub(crate) scenario: Scenario,
    pub(crate) at: Boundary,
    pub(crate) fault: Fault,
}

/// What has come of a run.
pub(crate) struct Report {
    pub(crate) trace: Vec<(Boundary, Effect)>,
    /// The fault has happened.
    pub(crate) hit: bool,
    pub(crate) is_indeterminate: bool,
    pub(crate) took: Duration,
    /// How many changes arrived.
    pub(crate) changes: u64,
    pub(crate) violations: Vec<Broken>,
    /// What the operators said.
    pub(crate) log: String,
}

/// What is left to look at when a run is over.
pub(crate) struct Traces<'a> {
    pub(crate) class: &'a Class,
    pub(crate) scenario: Scenario,
    /// What came of a change may be unknown to everybody.
    pub(crate) may_lack_an_answer: bool,
    /// As the plan has it in the end.
    pub(crate) status: PlanStatus,
    /// The changes that arrived at Proxmox since the counting began.
    pub(crate) arrived: Vec<LedgerEntry>,
    pub(crate) audit: Vec<Value>,
    /// What is wrong with the audit logs themselves.
    pub(crate) audit_problems: Vec<String>,
    pub(crate) log: String,
}

impl Scenario {
    pub(crate) const ALL: [(Self, &'static str); 5] = [
        (Self::Request, "request"),
        (Self::Beginning, "beginning"),
        (Self::Recovery, "recovery"),
        (Self::Again, "again"),
        (Self::Leaving, "leaving"),
    ];

    fn is_over(self, status: &PlanStatus) -> bool {
        match self {
            Self::Again => status.phase.is_terminal() && status.attempts > 1,
            Self::Leaving => status.reason == LEFT_AS_IT_IS,
            _ => status.phase.is_terminal(),
        }
    }

    /// How many changes had arrived before the counting begins.
    fn arrived_before(self) -> usize {
        usize::from(matches!(self, Self::Again | Self::Leaving))
    }

    /// Whether a record is about what is judged: what came before a decision is over when it is made.
    fn judges(self, record: &Value) -> bool {
        self != Self::Again || record["attempt"] == 2
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, word) = Self::ALL.iter().find(|(scenario, _)| scenario == self).unwrap();
        f.write_str(word)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {} {}", self.class, self.scenario, self.fault, self.at.nth, self.at.call)
    }
}

impl FromStr for Cell {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.splitn(5, ' ');
        let mut word = |what: &str| words.next().ok_or_else(|| format!("`{text}` lacks {what}"));
        let (class, scenario) = (word("a class")?.to_owned(), word("a scenario")?);
        let known = Scenario::ALL.iter().find(|(_, name)| *name == scenario);
        let (scenario, _) = *known.ok_or_else(|| format!("`{scenario}` is no scenario"))?;
        let fault = word("a fault")?.parse()?;
        let nth = word("which call of its kind")?.parse().map_err(|error| format!("{error}"))?;
        Ok(Self { class, scenario, at: Boundary { call: word("a call")?.to_owned(), nth }, fault })
    }
}

impl Site {
    /// Lets a class of action be asked for and brought to its end, with this fault on the way.
    pub(crate) async fn play(
        &mut self,
        class: &Class,
        scenario: Scenario,
        trap: Option<(Boundary, Fault)>,
    ) -> Report {
        let began = Instant::now();
        let stage = self.set(class).await;
        let trap_may_cost = trap.as_ref().is_some_and(|(at, fault)| may_cost_an_answer(at, *fault));
        let ended = self.go_through(&stage, class, scenario, trap).await;
        let (trace, hit) = (self.gate.trace(), self.gate.is_sprung());
        let costs_an_answer = trap_may_cost || scenario == Scenario::Recovery;
        let plan = self.people.plans.get_opt(PLAN).await.unwrap();
        let uid = plan.as_ref().and_then(ResourceExt::uid).unwrap_or_default();
        let traces = Traces {
            class,
            scenario,
            may_lack_an_answer: costs_an_answer || self.was_slow(),
            status: plan.and_then(|plan| plan.status).unwrap_or_default(),
            arrived: arrived(&stage).split_off(scenario.arrived_before()),
            audit: audit::records(&stage.volume, &uid)
                .into_iter()
                .filter(|record| scenario.judges(record))
                .collect(),
            audit_problems: audit::problems(&[&stage.volume]),
            log: std::fs::read_to_string(stage.volume.join("operator.log")).unwrap_or_default(),
        };
        stage.sim.stop().await;
        let mut violations = self.witness.problems();
        violations.extend(ended.err());
        violations.extend(oracle::judge(&traces));
        let is_indeterminate = traces.status.phase == Phase::Indeterminate && scenario != Scenario::Leaving;
        let (changes, log) = (traces.arrived.len() as u64, traces.log);
        Report { trace, hit, is_indeterminate, took: began.elapsed(), changes, violations, log }
    }

    async fn go_through(
        &self,
        stage: &Stage,
        class: &Class,
        scenario: Scenario,
        trap: Option<(Boundary, Fault)>,
    ) -> Result<(), Broken> {
        let kills = trap.as_ref().is_some_and(|(_, fault)| fault.kills());
        let mut operator = self.begin(stage, class, scenario, trap).await;
        let mut ending = pin!(async {
            let ended = self.people.bring_plan_to(PLAN, |status| scenario.is_over(status)).await;
            ended.map_err(|how| Promise::NothingIsLost.broken(how))
        });
        let ended = tokio::select! {
            ended = &mut ending => Some(ended),
            () = self.gate.sprung() => None,
        };
        if ended.is_some() {
            // Some calls follow the end.
            self.quiet().await?;
        }
        if kills && self.gate.is_sprung() {
            operator = self.start(&stage.volume);
            self.gate.is_replaced();
        }
        match ended {
            Some(ended) => ended?,
            None => ending.await?,
        };
        self.quiet().await?;
        let has_ended = operator.has_ended().await;
        operator.kill().await;
        if has_ended {
            return Err(Promise::StaysUp.broken("the operator has ended by itself".to_owned()));
        }
        Ok(())
    }

    async fn begin(
        &self,
        stage: &Stage,
        class: &Class,
        scenario: Scenario,
        trap: Option<(Boundary, Fault)>,
    ) -> Arc<Process> {
        let under_way = Boundary { call: MUTATION.to_owned(), nth: 1 };
        match scenario {
            Scenario::Request => {
                self.gate.arm(None);
                let operator = self.start(&stage.volume);
                self.quiet().await.unwrap();
                self.gate.arm(trap);
                self.people.ask(class).await;
                operator
            }
            Scenario::Beginning => {
                self.people.ask(class).await;
                self.gate.arm(trap);
                self.start(&stage.volume)
            }
            Scenario::Recovery => {
                self.gate.arm(Some((under_way, Fault::KilledUnanswered)));
                self.people.ask(class).await;
                let _dies = self.start(&stage.volume);
                tokio::select! {
                    () = self.gate.sprung() => {}
                    ended = self.people.bring_to_an_end() => panic!("nothing was sent: {ended:?}"),
                }
                self.gate.arm(trap);
                self.start(&stage.volume)
            }
            Scenario::Again | Scenario::Leaving => {
                // It is carried out, and as long as nobody decides there is nothing to tell it by.
                self.gate.arm(Some((under_way, Fault::Unanswered)));
                stage.sim.set_faults(vec![sim::Fault::LossyTaskList { types: vec![] }]);
                self.people.ask(class).await;
                let operator = self.start(&stage.volume);
                self.people.bring_to_an_end().await.unwrap();
                self.quiet().await.unwrap();
                stage.sim.set_faults(vec![]);
                self.gate.arm(trap);
                let decision = if scenario == Scenario::Again { "Approve" } else { "Deny" };
                self.people.decide_about(1, decision).await;
                operator
            }
        }
    }

    /// An answer came so late, for whatever reason, that it may have been given up.
    pub(crate) fn was_slow(&self) -> bool {
        self.gate.slowest_answer() >= Duration::from_secs(REQUEST_SECONDS) / 2
    }

    async fn quiet(&self) -> Result<(), Broken> {
        let quiet = tokio::time::timeout(PATIENCE, self.gate.quiet()).await;
        quiet.map_err(|_| Promise::NothingIsLost.broken("the operator never comes to rest".to_owned()))
    }
}

/// Whoever lives on knows what he was told, however long nobody lets him write it down.
fn may_cost_an_answer(at: &Boundary, fault: Fault) -> bool {
    let is_at_proxmox =
        at.call == MUTATION || at.call.split_once(' ').is_some_and(|(_, path)| path.starts_with('/'));
    fault.kills() || is_at_proxmox
}

/// What the operator's token has changed, or tried to.
pub(crate) fn arrived(stage: &Stage) -> Vec<LedgerEntry> {
    let is_ours = |entry: &LedgerEntry| entry.who == TOKEN && entry.outcome != Outcome::NotExecuted;
    stage.sim.ledger().into_iter().filter(is_ours).collect()
}
