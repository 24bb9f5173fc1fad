//! One decision on one plan.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kube::ResourceExt;

use crate::{
    api::{
        Decision, Phase, ProxmoxActionApproval, ProxmoxActionApprovalSpec, ProxmoxActionPlan, Signer, Source,
    },
    cli::{
        choice::Choice,
        render::{self, printable},
    },
    ports::Clock,
    system::SystemClock,
};

use super::{
    Output,
    exit::{Exit, Stopped},
    git::Approvals,
    list,
    person::Person,
    print,
    server::{Caller, Connection, Right, Server},
};

#[derive(Debug, Args)]
pub(super) struct Decide {
    /// The plan: NAME or plan/NAME.
    #[arg(value_parser = plan_name)]
    pub(super) plan: Option<String>,
    /// Don't ask.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    choice: Choice,
    /// Print what was created in this form to standard output, and the rest to standard error.
    #[arg(short, long, value_enum)]
    output: Option<Output>,
    /// Create nothing: print what would be sent, or have the API server judge it.
    #[arg(long, value_enum, conflicts_with = "git")]
    dry_run: Option<DryRun>,
    /// Write the approval into this folder of a git working tree and commit it, signed, instead of creating it.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = ".")]
    git: Option<PathBuf>,
    /// Who decides, as the environment's signers list spells it; git's user.email if absent.
    #[arg(long, value_name = "NAME", requires = "git")]
    by: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DryRun {
    Client,
    Server,
}

/// As kubectl has it: a name, or a kind and a name.
fn plan_name(text: &str) -> Result<String, String> {
    const KINDS: [&str; 4] = ["plan", "pxp", "proxmoxactionplan", "proxmoxactionplans"];
    match text.split_once('/') {
        _ if text.trim_end_matches('/').is_empty() => Err("which plan? give NAME or plan/NAME".to_owned()),
        None => Ok(text.to_owned()),
        Some((kind, name)) if KINDS.contains(&kind.trim_end_matches(".proxmox-agent.io")) => {
            Ok(name.to_owned())
        }
        Some(_) => Err("only plans are approved: give NAME or plan/NAME".to_owned()),
    }
}

impl Decide {
    pub(super) async fn run(self, connection: &Connection) -> Result<Exit, Stopped> {
        let tree = self.git.as_deref().map(Approvals::open).transpose()?;
        let server = connection.open().await?;
        let plan = server.plan(self.plan.as_deref().unwrap_or_default()).await?;
        let approver = self.approver(&server, tree.as_ref()).await?;
        let mut spec = match self.choice.on(&plan, &approver.name, SystemClock.now()) {
            Ok(spec) => spec,
            Err(refused) => {
                if refused.has_to_be_read {
                    self.shows(&plan)?;
                }
                return Err(refused.into());
            }
        };
        spec.approver_groups = groups_asked_for(&plan, &approver);
        spec.source = tree.as_ref().map(|_| Source::Git);
        if self.asks() {
            self.is_worth_reading(&server, &spec, tree.is_some()).await?;
        }
        self.shows(&plan)?;
        let person = self.person();
        for note in self.notes(&server, &plan, &approver, &spec).await {
            person.is_warned(&note)?;
        }
        if self.asks() {
            if !person.confirms(&spec)? {
                person.is_told("nothing was created")?;
                return Ok(Exit::NotConfirmed);
            }
            still_the_same(&server, &plan).await?;
        }
        match tree {
            Some(tree) => self.commit(&tree, &plan, spec)?,
            None => self.create(&server, &plan, spec).await?,
        }
        Ok(Exit::Done)
    }

    fn shows(&self, plan: &ProxmoxActionPlan) -> Result<(), Stopped> {
        let person = self.person();
        person.is_told(&format!("{}\n", render::plan_on(person.look(), plan)))
    }

    fn asks(&self) -> bool {
        !self.yes && self.dry_run.is_none()
    }

    /// Whose decision it is. The API server takes it in nobody's name but the caller's; by git, the signature tells.
    async fn approver(&self, server: &Server, tree: Option<&Approvals>) -> Result<Caller, Stopped> {
        let Some(tree) = tree else { return server.who_am_i().await };
        let name = match &self.by {
            Some(name) => name.clone(),
            None => tree.email()?,
        };
        Ok(Caller { name, groups: vec![] })
    }

    /// Tells whoever can't succeed before they read and type; the API server has the last word all the same.
    async fn is_worth_reading(
        &self,
        server: &Server,
        spec: &ProxmoxActionApprovalSpec,
        by_git: bool,
    ) -> Result<(), Stopped> {
        self.person().is_there()?;
        if by_git {
            return Ok(());
        }
        if !server.may_i_create_approvals().await? {
            let why = format!(
                "{} may not create approvals in namespace {}: ask who owns it for the role of an approver",
                spec.approved_by, server.namespace
            );
            return Err(Stopped::new(Exit::NotAllowed, why));
        }
        let right = Right {
            verb: if spec.decision == Decision::Deny { "deny" } else { "approve" },
            risk: spec.risk,
            environment: spec.environment.clone(),
            namespace: server.namespace.clone(),
        };
        if server.have_i(&right).await? { Ok(()) } else { Err(right.lacking(&spec.approved_by)) }
    }

    /// What the operator will say to it, as far as it is known before.
    async fn notes(
        &self,
        server: &Server,
        plan: &ProxmoxActionPlan,
        approver: &Caller,
        spec: &ProxmoxActionApprovalSpec,
    ) -> Vec<String> {
        let mut notes = Vec::new();
        let by_git = spec.source == Some(Source::Git);
        let status = plan.status.clone().unwrap_or_default();
        let approvals = status.approvals.unwrap_or_default();
        let me = &spec.approved_by;
        if spec.decision == Decision::Approve {
            if plan.spec.requested_by == *me {
                notes.push(format!("{me} asked for this plan: the operator will refuse this approval"));
            }
            if let Some(earlier) = approvals.granted.iter().find(|granted| granted.approved_by == *me) {
                let earlier = &earlier.name;
                notes
                    .push(format!("{me} has approved it already ({earlier}): another approval adds nothing"));
            } else if status.phase == Phase::Approved {
                notes.push("it has all approvals that it needs".to_owned());
            } else if !by_git && let Some(others) = list::waits_for_others(&approvals, approver) {
                notes.push(format!("an approval of {me} adds nothing: {others}"));
            }
        }
        if by_git {
            notes.extend(self.doubts_about_signer(server, spec).await);
        }
        notes
    }

    async fn doubts_about_signer(&self, server: &Server, spec: &ProxmoxActionApprovalSpec) -> Option<String> {
        let environment = server.environment(&spec.environment).await?;
        let ProxmoxActionApprovalSpec { environment: name, approved_by, .. } = spec;
        let Some(trust) = environment.spec.git else {
            return Some(format!("environment {name} has no spec.git: no approval by git counts there"));
        };
        let is_known = trust.signers.iter().any(|Signer { name, .. }| name == approved_by);
        (!is_known).then(|| {
            format!(
                "{approved_by} is not among the signers of environment {name}: give --by NAME as it is spelled there"
            )
        })
    }

    fn commit(
        &self,
        tree: &Approvals,
        plan: &ProxmoxActionPlan,
        spec: ProxmoxActionApprovalSpec,
    ) -> Result<(), Stopped> {
        // An approval never changes: one for another hash is another object.
        let hash = spec.plan_hash.trim_start_matches("sha256:").get(..8).unwrap_or_default();
        let name = format!("{}-{hash}", self.choice.file_name(&plan.name_any(), &spec.approved_by));
        let message = self.commit_message(plan);
        let mut approval = ProxmoxActionApproval::new(&name, spec);
        approval.metadata.namespace = plan.namespace();
        let text = Output::Yaml.write(&approval, &[])?;
        let committed = tree.commit(&format!("{name}.yaml"), &text, &message)?;
        if let Some(output) = self.output {
            return print(&output.write(&approval, &[committed.file.display().to_string()])?);
        }
        print(&format!(
            "{} committed as {}, signed; push it: it counts once the operator has fetched it\n",
            committed.file.display(),
            committed.commit
        ))
    }

    fn commit_message(&self, plan: &ProxmoxActionPlan) -> String {
        let verb = if self.choice.decision() == Decision::Deny { "Deny" } else { "Approve" };
        let namespace = plan.namespace().unwrap_or_default();
        let subject = format!(
            "{verb} plan {namespace}/{}: {} on {}",
            plan.name_any(),
            printable(&plan.spec.action),
            printable(&plan.spec.target)
        );
        format!("{subject}\n\n{}", self.choice.reason()).trim_end().to_owned()
    }

    async fn create(
        &self,
        server: &Server,
        plan: &ProxmoxActionPlan,
        spec: ProxmoxActionApprovalSpec,
    ) -> Result<(), Stopped> {
        let mut approval = ProxmoxActionApproval::new("", spec);
        approval.metadata.name = None;
        approval.metadata.namespace = Some(server.namespace.clone());
        approval.metadata.generate_name = Some(format!("{}-", plan.name_any()));
        let mut created = match self.dry_run {
            Some(DryRun::Client) => approval,
            how => server.create(&approval, how.is_some()).await?,
        };
        created.metadata.managed_fields = None;
        let name = format!("proxmoxactionapproval.proxmox-agent.io/{}", created.name_any());
        if let Some(output) = self.output {
            return print(&output.write(&created, &[name])?);
        }
        let how = match self.dry_run {
            Some(DryRun::Client) => " (dry run)",
            Some(DryRun::Server) => " (server dry run)",
            None => "",
        };
        print(&format!(
            "{name} created{how}; see: kubectl get plan {} -n {}\n",
            plan.name_any(),
            server.namespace
        ))
    }

    fn person(&self) -> Person {
        if self.output.is_some() { Person::AtError } else { Person::AtOutput }
    }
}

/// Those of the approver's groups that the plan wants somebody of, and no others: more is nobody's business.
fn groups_asked_for(plan: &ProxmoxActionPlan, approver: &Caller) -> Vec<String> {
    let approvals = plan.status.as_ref().and_then(|status| status.approvals.as_ref());
    let demanded = approvals.map(|approvals| approvals.groups.as_slice()).unwrap_or_default();
    let names = demanded.iter().map(|demand| &demand.group);
    names.filter(|group| approver.groups.contains(group)).cloned().collect()
}

/// The approval binds to what was shown. If that is no longer what the plan would do, the person should know at once.
async fn still_the_same(server: &Server, shown: &ProxmoxActionPlan) -> Result<(), Stopped> {
    let now = server.plan(&shown.name_any()).await?;
    let identity = |plan: &ProxmoxActionPlan| {
        let status = plan.status.clone().unwrap_or_default();
        (plan.uid(), status.plan_hash, status.attempts, status.phase == Phase::Indeterminate)
    };
    if identity(&now) == identity(shown) {
        return Ok(());
    }
    let why = format!(
        "plan {} has changed since it was shown: nothing was created. Look at it again: kubectl approve {0} -n {}",
        shown.name_any(),
        server.namespace
    );
    Err(Stopped::new(Exit::NotWaiting, why))
}
