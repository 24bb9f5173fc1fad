//! Asks a simulation what was recorded elsewhere.
use std::collections::BTreeMap;
use std::time::Duration;

use hyper::ext::ReasonPhrase;
use proxmox_agent::pve::sim::{Fault, Options, Simulator, World};
use reqwest::Method;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use super::recording::{Exchange, Outside, Recorded, Request};
use super::setting::{client, data, until};

/// How long an answer may take to become the recorded one.
const DEADLINE: Duration = Duration::from_secs(30);
const SECRET: &str = "00000000-0000-0000-0000-000000000001";

/// A simulation, a client, and what the recorded ids and digests are called here.
pub(crate) struct Player {
    simulator: Simulator,
    client: reqwest::Client,
    ticket: String,
    csrf: String,
    ours: BTreeMap<String, String>,
}

impl Player {
    pub(crate) async fn start(world: World) -> Self {
        let options = Options { world, plain_http: true, ..Options::default() };
        let simulator = Simulator::start(options).await.unwrap();
        let client = client(simulator.ca_pem());
        let mut player =
            Self { simulator, client, ticket: String::new(), csrf: String::new(), ours: BTreeMap::new() };
        player.log_in().await;
        player
    }

    async fn log_in(&mut self) {
        let url = format!("{}/api2/json/access/ticket", self.simulator.url());
        let form = [("username", "root@pam"), ("password", "rootpw")];
        let response = self.client.post(url).form(&form).send().await.unwrap();
        let body: Value = response.json().await.unwrap();
        let text = |field: &str| body["data"][field].as_str().unwrap().to_owned();
        (self.ticket, self.csrf) = (text("ticket"), text("CSRFPreventionToken"));
    }

    pub(crate) async fn step_in(&mut self, step: Outside) {
        if let Some(seconds) = step.slow_tasks {
            self.simulator.set_faults(vec![Fault::SlowTask { types: vec![], seconds }]);
        }
        if let Some(patch) = step.world {
            let url = format!("{}/_sim/world", self.simulator.url());
            let mut world: Value = self.client.get(&url).send().await.unwrap().json().await.unwrap();
            merge(&mut world, patch);
            let answer = self.client.put(&url).json(&world).send().await.unwrap();
            assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
            self.log_in().await;
        }
    }

    /// Sends the exchange. What only reads is repeated until it agrees, because what it reads may take its time; where
    /// a difference is expected, until the task it asks for is over.
    pub(crate) async fn play(
        &mut self,
        exchange: &Exchange,
        expected: bool,
        judge: impl Fn(&Recorded) -> Vec<String>,
    ) -> (Recorded, Vec<String>) {
        let Exchange { request, response: theirs, .. } = exchange;
        let of_task = asks_for_task(request);
        let state = |answer: &Recorded| answer.body.as_ref().map(|body| body["data"]["status"].clone());
        let deadline = Instant::now() + DEADLINE;
        loop {
            let ours = self.send(exchange).await;
            let problems = judge(&ours);
            let settled = problems.is_empty()
                || request.method != "GET"
                || (ours.status == 501 && theirs.status != 501)
                || (expected && (!of_task || ours.status != theirs.status || state(&ours) == state(theirs)))
                || Instant::now() >= deadline;
            if settled {
                self.remember(&ours, theirs);
                return (ours, problems);
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Notes what stands in our answer for the recorded UPID or digest.
    fn remember(&mut self, ours: &Recorded, theirs: &Recorded) {
        let (Some(ours), Some(theirs)) = (&ours.body, &theirs.body) else { return };
        for field in ["/data", "/data/digest"] {
            let text = |body: &Value| body.pointer(field).and_then(Value::as_str).map(str::to_owned);
            if let (Some(ours), Some(theirs)) = (text(ours), text(theirs)) {
                self.ours.insert(theirs, ours);
            }
        }
    }

    /// Waits until nothing that was started is running any more.
    pub(crate) async fn rest(&self) {
        let url = format!("{}/api2/json/cluster/tasks", self.simulator.url());
        let cookie = format!("PVEAuthCookie={}", self.ticket);
        until(|| async {
            let tasks = data(self.client.get(&url).header("Cookie", &cookie).send().await.unwrap()).await;
            let is_over = |task: &Value| task["endtime"].is_number();
            tasks.as_array().unwrap().iter().all(is_over).then_some(())
        })
        .await;
    }

    pub(crate) async fn stop(self) {
        self.simulator.stop().await;
    }

    async fn send(&self, exchange: &Exchange) -> Recorded {
        let request = &exchange.request;
        let method = Method::from_bytes(request.method.as_bytes()).unwrap();
        let url = format!("{}{}", self.simulator.url(), self.path(&request.path));
        let mut builder = self.client.request(method, url);
        if let Some(query) = &request.query {
            builder = builder.query(&self.pairs(query));
        }
        if let Some(form) = &request.form {
            builder = builder.form(&self.pairs(form));
        } else if let Some(text) = &request.body_text {
            builder = builder.body(text.clone());
        }
        for (name, value) in &request.headers {
            let value = value.replace("<TICKET>", &self.ticket.replace(':', "%3A").replace('+', "%2B"));
            let value = value.replace("<CSRF>", &self.csrf).replace("<TOKEN-SECRET>", SECRET);
            let header = reqwest::header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            builder = builder.headers([(header, value.parse().unwrap())].into_iter().collect());
        }
        answer(builder.send().await.unwrap()).await
    }

    /// The recorded path, with our UPIDs.
    fn path(&self, recorded: &str) -> String {
        let coded = |text: &str| text.replace(':', "%3A").replace('@', "%40").replace('!', "%21");
        let upids = self.ours.iter().filter(|(theirs, _)| theirs.starts_with("UPID:"));
        upids.fold(recorded.to_owned(), |path, (theirs, ours)| {
            path.replace(&coded(theirs), &coded(ours)).replace(theirs, ours)
        })
    }

    /// The parameters, with our digests; a list is a repeated parameter.
    fn pairs(&self, parameters: &Map<String, Value>) -> Vec<(String, String)> {
        let text = |value: &Value| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            self.ours.get(&text).cloned().unwrap_or(text)
        };
        let values = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        let pairs = parameters.iter().flat_map(|(name, value)| {
            values(value).into_iter().map(|value| (name.clone(), text(&value))).collect::<Vec<_>>()
        });
        pairs.collect()
    }
}

/// Whether this asks how a task is.
pub(crate) fn asks_for_task(request: &Request) -> bool {
    request.path.contains("/tasks/") && request.path.ends_with("/status")
}

async fn answer(response: reqwest::Response) -> Recorded {
    let status = response.status();
    let reason = response.extensions().get::<ReasonPhrase>().map_or_else(
        || status.canonical_reason().unwrap_or_default().to_owned(),
        |phrase| String::from_utf8_lossy(phrase.as_bytes()).into_owned(),
    );
    let text = response.text().await.unwrap();
    let body: Option<Value> = serde_json::from_str(&text).ok();
    let body_text = (body.is_none() && !text.is_empty()).then_some(text);
    Recorded { status: status.as_u16(), reason, body, body_text }
}

/// A JSON merge patch.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}
