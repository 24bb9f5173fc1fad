//! `kubectl approve NAME`: shows the plan, asks, and creates the approval as the caller.

use std::{
    io::{BufRead, IsTerminal, Write},
    process::ExitCode,
};

use clap::Parser;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{Api, Client, Config, api::PostParams, config::KubeConfigOptions};

use crate::{
    api::{Decision, ProxmoxActionApproval, ProxmoxActionPlan},
    ports::Clock,
    store::kube::told,
    system::SystemClock,
};

use super::{Failure, approve::Choice, fail, render};

/// Shows what a plan would do, asks, and approves it in your name.
#[derive(Debug, Parser)]
#[command(name = "kubectl-approve", bin_name = "kubectl approve", version)]
pub struct KubectlApprove {
    /// The plan's name.
    plan: String,
    #[arg(short, long)]
    namespace: Option<String>,
    /// The kubeconfig's context.
    #[arg(long)]
    context: Option<String>,
    /// Don't ask.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    choice: Choice,
}

/// The person said no to the question: nothing was created.
const NOT_CONFIRMED: u8 = 3;

impl KubectlApprove {
    pub async fn run(self) -> ExitCode {
        self.decide().await.unwrap_or_else(|failure| fail(&failure))
    }

    async fn decide(self) -> Result<ExitCode, Failure> {
        let options = KubeConfigOptions { context: self.context.clone(), ..Default::default() };
        let mut config = Config::from_kubeconfig(&options).await?;
        config.default_retry = false;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config)?;
        let plan = plan(&client, &namespace, &self.plan).await?;
        let me = who_am_i(&client).await?;
        let spec = self.choice.on(&plan, &me, SystemClock.now())?;
        println!("{}\n", render::plan(&plan));
        if !self.yes && !confirmed(&me, self.choice.decision())? {
            println!("nothing was created");
            return Ok(ExitCode::from(NOT_CONFIRMED));
        }
        let mut approval = ProxmoxActionApproval::new("", spec);
        approval.metadata.name = None;
        approval.metadata.generate_name = Some(format!("{}-", self.plan));
        let created = Api::<ProxmoxActionApproval>::namespaced(client, &namespace)
            .create(&PostParams::default(), &approval)
            .await
            .map_err(|error| {
                format!("failed to create the approval in namespace {namespace}: {}", told(&error))
            })?;
        println!(
            "proxmoxactionapproval.proxmox-agent.io/{} created; see: kubectl get plan {} -n {namespace}",
            created.metadata.name.unwrap_or_default(),
            self.plan
        );
        Ok(ExitCode::SUCCESS)
    }
}

async fn plan(client: &Client, namespace: &str, name: &str) -> Result<ProxmoxActionPlan, Failure> {
    let plans: Api<ProxmoxActionPlan> = Api::namespaced(client.clone(), namespace);
    match plans.get(name).await {
        Ok(plan) => Ok(plan),
        Err(kube::Error::Api(status)) if status.is_not_found() => {
            Err(format!("there is no plan `{name}` in namespace {namespace}: see kubectl get plan -A").into())
        }
        Err(error) => Err(format!("failed to read plan {namespace}/{name}: {}", told(&error)).into()),
    }
}

/// The name that the API server knows the caller by: the only one that the caller can approve in.
async fn who_am_i(client: &Client) -> Result<String, Failure> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .map_err(|error| format!("failed to ask the API server who you are: {}", told(&error)))?;
    let user = review.status.and_then(|status| status.user_info).and_then(|user| user.username);
    user.ok_or_else(|| "the API server does not say who you are".into())
}

fn confirmed(me: &str, decision: Decision) -> Result<bool, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(
            "there is nobody to ask: standard input is no terminal. Give --yes to decide without being asked"
                .into(),
        );
    }
    let verb = if decision == Decision::Deny { "Deny" } else { "Approve" };
    print!("{verb} this as {me}? Type yes: ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
