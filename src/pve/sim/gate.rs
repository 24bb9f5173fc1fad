//! The way of a request: recognised, routed, permitted, understood, and only then acted upon.
//!
//! The order is Proxmox's own, and clients can tell: 401 before 501 before 403 before 400 before 500.
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use ::http::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::access::{Caller, allowed};
use super::contract::{Given, Matched, Operation, Parameters, Permission, verify};
use super::engine::{Call, State};
use super::faults::seconds_of;
use super::http::{
    Answer, Attribute, BodyError, Refusal, Reply, Request, Response, decode_percent, read_parameters, render,
};
use super::routes;
use super::simulation::Simulation;

/// A request with what its address and headers say.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    /// Below `/api2/<format>`, without empty segments.
    pub(super) segments: Vec<String>,
    pub(super) format: Option<String>,
    pub(super) parameters: Result<Parameters, BodyError>,
    /// The node on whose own port it arrived.
    node: Option<String>,
    headers: ::http::HeaderMap,
}

/// What the API answered, with what the ledger wants to know about it.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) response: Response,
    pub(super) status: u16,
    pub(super) upid: Option<String>,
}

impl Asked {
    /// `Err` answers what is not a request to the API at all.
    pub(super) fn read(request: Request, node: Option<String>) -> Result<Self, Response> {
        if ![Method::GET, Method::POST, Method::PUT, Method::DELETE].contains(&request.method) {
            return Err(Response::bare(501, &format!("method '{}' not available", request.method)));
        }
        let path = decode_percent(request.uri.path());
        let mut segments = path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned);
        if segments.next().as_deref() != Some("api2") {
            return Err(Response::plain(500, &format!("no such file '{path}'")));
        }
        let parameters = read_parameters(&request);
        Ok(Self {
            format: segments.next(),
            segments: segments.collect(),
            parameters,
            node,
            method: request.method,
            headers: request.headers,
        })
    }

    pub(super) fn path(&self) -> String {
        format!("/{}", self.segments.join("/"))
    }

    /// Logging in changes nothing that the ledger is about.
    pub(super) fn is_mutation(&self) -> bool {
        self.method != Method::GET && self.path() != "/access/ticket"
    }

    fn borrowed_segments(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }
}

impl Simulation {
    /// Who is asking, as far as that can be told; for the ledger.
    pub(super) fn name_of_caller(&self, asked: &Asked) -> String {
        let state = self.state();
        let now = state.clock.seconds();
        let caller =
            state.tickets.authenticate(&state.world, &asked.headers, asked.method != Method::GET, now);
        caller.map(|caller| caller.id()).unwrap_or_default()
    }

    pub(super) async fn answer(self: &Arc<Self>, asked: &Asked) -> Answered {
        let extjs = asked.format.as_deref() == Some("extjs");
        let answer = self.judge(asked).await;
        if matches!(answer, Err(Refusal::Unauthenticated(_))) {
            let pause = seconds_of(self.state().world.refusal_seconds);
            tokio::time::sleep(pause).await;
        }
        let status = render(&answer.as_ref().map(|_| Value::Null).map_err(Clone::clone), None, false).status;
        let (answer, attribute, upid) = match answer {
            Ok(reply) => self.fulfil(reply).await,
            Err(refusal) => (Err(refusal), None, None),
        };
        Answered { response: render(&answer, attribute, extjs), status, upid }
    }

    async fn fulfil(&self, reply: Reply) -> (Result<Value, Refusal>, Option<Attribute>, Option<String>) {
        match reply {
            Reply::Data(data) => {
                let upid = data.as_str().filter(|text| text.starts_with("UPID:")).map(str::to_owned);
                (Ok(data), None, upid)
            }
            Reply::Rows { rows, total } => (Ok(Value::Array(rows)), Some(("total", total.into())), None),
            Reply::Changed { rows, changes } => {
                (Ok(Value::Array(rows)), Some(("changes", changes.into())), None)
            }
            Reply::Task(upid) => (Ok(upid.clone().into()), None, Some(upid)),
            Reply::TaskUnlessDone { upid, within } => {
                let done = self.wait_for_task(&upid, within).await;
                (Ok(if done { Value::Null } else { upid.clone().into() }), None, Some(upid))
            }
        }
    }

    async fn judge(self: &Arc<Self>, asked: &Asked) -> Answer {
        let contract = self.state().contract;
        let segments = asked.borrowed_segments();
        let matched = contract.find(asked.method.as_str(), &segments);
        let caller = self.recognise(asked, matched.as_ref())?;
        demand_format(asked)?;
        let given = understood(asked)?;
        if segments.is_empty() && asked.method == Method::GET {
            return Ok(Reply::Data(routes::index_of_root()));
        }
        let Some(matched) = matched else {
            return Err(not_implemented(asked));
        };
        let parameters = self.with_path(given, asked, &matched);
        self.permit(matched.operation, &caller, &parameters)?;
        if matched.operation.runs_on_node {
            self.reach_node(parameters.demanded("node"))?;
        }
        verify(matched.operation, &parameters).map_err(Refusal::Parameters)?;
        let Some(handler) = self.routes.find(matched.operation) else {
            return Err(not_implemented(asked));
        };
        self.act(asked, handler, matched.operation, &caller, &parameters).await
    }

    fn recognise(&self, asked: &Asked, matched: Option<&Matched<'_>>) -> Result<Caller, Refusal> {
        if matched.is_some_and(|matched| matched.operation.permission == Permission::World) {
            return Ok(Caller { user: String::new(), token: None });
        }
        let state = self.state();
        let writes = asked.method != Method::GET;
        let now = state.clock.seconds();
        state
            .tickets
            .authenticate(&state.world, &asked.headers, writes, now)
            .map_err(Refusal::Unauthenticated)
    }

    /// The path's names are parameters like all others; `localhost` is whichever node answers.
    fn with_path(&self, mut given: Parameters, asked: &Asked, matched: &Matched<'_>) -> Parameters {
        for (name, value) in &matched.bound {
            let local = name == "node" && value == "localhost";
            let value = if local { self.state_at(asked).local_node().to_owned() } else { value.clone() };
            given.set(name, Given::Text(value));
        }
        given
    }

    fn permit(&self, operation: &Operation, caller: &Caller, parameters: &Parameters) -> Result<(), Refusal> {
        if caller.token.is_some() && !operation.takes_tokens {
            return Err(Refusal::Forbidden(None));
        }
        if !caller.is_root() && parameters.has("vmid") && operation.path.contains("{vmid}") {
            demand_guest_number(operation, parameters)?;
        }
        let state = self.state();
        allowed(&operation.permission, &state.world, caller, parameters).map_err(Refusal::Forbidden)
    }

    fn reach_node(&self, node: &str) -> Result<(), Refusal> {
        let state = self.state();
        match state.world.nodes.get(node) {
            Some(found) if found.online => Ok(()),
            Some(_) => Err(Refusal::Bare { status: 595, reason: "No route to host".to_owned() }),
            None => {
                let error = &state.world.cluster.resolver_error;
                Err(Refusal::Failed(format!(
                    "hostname lookup '{node}' failed - failed to get address info for: {node}: {error}"
                )))
            }
        }
    }

    /// The state as the node sees it at which the request arrived.
    fn state_at(&self, asked: &Asked) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.asked_node.clone_from(&asked.node);
        state
    }

    /// Runs the handler; where a worker holds the guest's lock, for as long as Proxmox would wait for it.
    async fn act(
        &self,
        asked: &Asked,
        handler: routes::Handler,
        operation: &Operation,
        caller: &Caller,
        parameters: &Parameters,
    ) -> Answer {
        let patience = Instant::now() + seconds_of(self.state().world.lock_seconds);
        loop {
            let (answer, free_at) = {
                let mut state = self.state_at(asked);
                let answer = handler(&mut Call { state: &mut state, caller, parameters, operation });
                let free_at = busy_until(&state, &answer);
                (answer, free_at)
            };
            match free_at {
                Some(free_at) if Instant::now() < patience => {
                    tokio::time::sleep_until(free_at.min(patience)).await;
                }
                _ => return answer,
            }
        }
    }

    async fn wait_for_task(&self, upid: &str, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let ends = {
            let state = self.state();
            let task = state.tasks.iter().find(|task| task.upid.to_string() == upid);
            task.map_or(deadline, |task| task.ends)
        };
        tokio::time::sleep_until(ends.min(deadline)).await;
        ends <= deadline
    }
}

fn busy_until(state: &State, answer: &Answer) -> Option<Instant> {
    match answer {
        Err(Refusal::GuestBusy { vmid }) => state.guest_free_at(*vmid),
        _ => None,
    }
}

/// A guest's number is part of the path whose permissions are judged, so its form is judged even before them.
fn demand_guest_number(operation: &Operation, parameters: &Parameters) -> Result<(), Refusal> {
    let errors = verify(operation, parameters).err().unwrap_or_default();
    match errors.get("vmid") {
        Some(error) => Err(Refusal::parameter("vmid", error.clone())),
        None => Ok(()),
    }
}

fn demand_format(asked: &Asked) -> Result<(), Refusal> {
    let reason = match asked.format.as_deref() {
        Some("json" | "extjs") => return Ok(()),
        None => "no such uri".to_owned(),
        Some(other) => format!("no formatter for uri {}, {other}", asked.path()),
    };
    Err(Refusal::Plain { status: 501, reason })
}

fn not_implemented(asked: &Asked) -> Refusal {
    Refusal::NotImplemented(format!("{} {}", asked.method, asked.path()))
}

fn understood(asked: &Asked) -> Result<Parameters, Refusal> {
    match &asked.parameters {
        Ok(parameters) => Ok(parameters.clone()),
        Err(BodyError { status, reason }) => Err(Refusal::Plain { status: *status, reason: reason.clone() }),
    }
}
