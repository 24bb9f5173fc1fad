//! The API server, asked as the caller.

use std::time::Duration;

use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
};
use kube::{
    Api, Client, Config,
    api::{ListParams, PostParams},
    config::KubeConfigOptions,
    core::DeserializeGuard,
};

use crate::{
    api::{GROUP, Phase, ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxEnvironment, Risk},
    core::lifecycle::LEFT_AS_IT_IS,
};

use super::exit::{Exit, Stopped};

#[derive(Clone, Debug, Default, Args)]
pub(super) struct Connection {
    /// The namespace; that of the kubeconfig's context if absent.
    #[arg(short, long, global = true)]
    pub(super) namespace: Option<String>,
    /// The kubeconfig's context.
    #[arg(long, global = true)]
    pub(super) context: Option<String>,
}

/// So long may one answer take.
const PATIENCE: Duration = Duration::from_secs(30);

/// So many plans are asked for at once.
const PAGE: u32 = 500;

pub(super) struct Server {
    client: Client,
    pub(super) namespace: String,
}

/// Who the API server says the caller is.
pub(super) struct Caller {
    pub(super) name: String,
    pub(super) groups: Vec<String>,
}

/// A right on the plans of one risk in one environment. It is a verb on what no object is stored as.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Right {
    pub(super) verb: &'static str,
    pub(super) risk: Risk,
    pub(super) environment: String,
    pub(super) namespace: String,
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verb, risk, environment, namespace } = self;
        write!(
            f,
            "the verb {verb} on proxmoxenvironments/{risk} named {environment} in namespace {namespace}"
        )
    }
}

impl Connection {
    pub(super) async fn open(&self) -> Result<Server, Stopped> {
        let options = KubeConfigOptions { context: self.context.clone(), ..Default::default() };
        let mut config = Config::from_kubeconfig(&options).await.map_err(|error| {
            Stopped::failed(format!(
                "failed to read the kubeconfig: {error}. See: kubectl config get-contexts"
            ))
        })?;
        config.default_retry = false;
        config.connect_timeout = Some(PATIENCE);
        config.read_timeout = Some(PATIENCE);
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client =
            Client::try_from(config).map_err(|error| Stopped::by_server("use the kubeconfig", &error))?;
        Ok(Server { client, namespace })
    }
}

impl Server {
    pub(super) async fn plan(&self, name: &str) -> Result<ProxmoxActionPlan, Stopped> {
        let plans: Api<ProxmoxActionPlan> = Api::namespaced(self.client.clone(), &self.namespace);
        let namespace = &self.namespace;
        match plans.get(name).await {
            Ok(plan) => Ok(plan),
            Err(kube::Error::Api(status)) if status.is_not_found() => Err(Stopped::failed(format!(
                "there is no plan `{name}` in namespace {namespace}: see kubectl get plan -A"
            ))),
            Err(error) => Err(Stopped::by_server(&format!("read plan {namespace}/{name}"), &error)),
        }
    }

    /// The environment of a plan, if the caller may read it.
    pub(super) async fn environment(&self, name: &str) -> Option<ProxmoxEnvironment> {
        let environments: Api<ProxmoxEnvironment> = Api::namespaced(self.client.clone(), &self.namespace);
        environments.get(name).await.ok()
    }

    pub(super) async fn who_am_i(&self) -> Result<Caller, Stopped> {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = reviews
            .create(&PostParams::default(), &SelfSubjectReview::default())
            .await
            .map_err(|error| Stopped::by_server("ask the API server who you are", &error))?;
        let user = review.status.and_then(|status| status.user_info).unwrap_or_default();
        let name = user.username.ok_or_else(|| Stopped::failed("the API server does not say who you are"))?;
        Ok(Caller { name, groups: user.groups.unwrap_or_default() })
    }

    pub(super) async fn have_i(&self, right: &Right) -> Result<bool, Stopped> {
        self.is_allowed(ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some("proxmoxenvironments".to_owned()),
            subresource: Some(right.risk.to_string()),
            verb: Some(right.verb.to_owned()),
            name: Some(right.environment.clone()),
            namespace: Some(right.namespace.clone()),
            ..ResourceAttributes::default()
        })
        .await
    }

    pub(super) async fn may_i_create_approvals(&self) -> Result<bool, Stopped> {
        self.is_allowed(ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some("proxmoxactionapprovals".to_owned()),
            verb: Some("create".to_owned()),
            namespace: Some(self.namespace.clone()),
            ..ResourceAttributes::default()
        })
        .await
    }

    async fn is_allowed(&self, attributes: ResourceAttributes) -> Result<bool, Stopped> {
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let answer = reviews
            .create(&PostParams::default(), &review)
            .await
            .map_err(|error| Stopped::by_server("ask the API server what you may do", &error))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    pub(super) async fn create(
        &self,
        approval: &ProxmoxActionApproval,
        dry_run: bool,
    ) -> Result<ProxmoxActionApproval, Stopped> {
        let approvals: Api<ProxmoxActionApproval> = Api::namespaced(self.client.clone(), &self.namespace);
        let params = PostParams { dry_run, ..PostParams::default() };
        approvals.create(&params, approval).await.map_err(|error| {
            Stopped::by_server(&format!("create the approval in namespace {}", self.namespace), &error)
        })
    }

    /// All plans that wait for people, in this namespace or everywhere: for approvals, or for a decision about an attempt
    /// whose outcome is unknown.
    pub(super) async fn waiting_plans(&self, everywhere: bool) -> Result<Vec<ProxmoxActionPlan>, Stopped> {
        let mut plans = self.plans_in(Phase::AwaitingApproval, everywhere).await?;
        let unknown = self.plans_in(Phase::Indeterminate, everywhere).await?;
        plans.extend(unknown.into_iter().filter(|plan| {
            plan.status
                .as_ref()
                .is_some_and(|status| status.doubt.is_some() && status.reason != LEFT_AS_IT_IS)
        }));
        Ok(plans)
    }

    /// Page by page.
    async fn plans_in(&self, phase: Phase, everywhere: bool) -> Result<Vec<ProxmoxActionPlan>, Stopped> {
        let plans: Api<DeserializeGuard<ProxmoxActionPlan>> = if everywhere {
            Api::all(self.client.clone())
        } else {
            Api::namespaced(self.client.clone(), &self.namespace)
        };
        let phase = format!("status.phase={phase}");
        let mut params = ListParams::default().fields(&phase).limit(PAGE);
        let mut found = Vec::new();
        loop {
            let page =
                plans.list(&params).await.map_err(|error| Stopped::by_server("list the plans", &error))?;
            // What can't be understood can't be approved either; the operator reports it.
            found.extend(page.items.into_iter().filter_map(|guard| guard.0.ok()));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(found),
            }
        }
    }

    /// Which of these rights the caller has.
    pub(super) async fn which_have_i(&self, rights: Vec<Right>) -> Result<Vec<Right>, Stopped> {
        let answers = stream::iter(rights)
            .map(|right| async move { Ok::<_, Stopped>((self.have_i(&right).await?, right)) })
            .buffered(8);
        let answers: Vec<(bool, Right)> = answers.try_collect().await?;
        Ok(answers.into_iter().filter(|(have, _)| *have).map(|(_, right)| right).collect())
    }
}

impl Right {
    pub(super) fn lacking(&self, caller: &str) -> Stopped {
        Stopped::new(
            Exit::NotAllowed,
            format!(
                "{caller} lacks {self}: ask its owner for a role of proxmox-agent-approver-{}. Where the owner does \
                 without admission policies, --yes tries it all the same",
                self.risk
            ),
        )
    }
}
