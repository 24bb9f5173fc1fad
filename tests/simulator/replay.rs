//! What was recorded on a genuine Proxmox VE is asked again, and answered alike.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use hyper::ext::ReasonPhrase;
use proxmox_agent::pve::sim::{Fault, Options, Simulator};
use reqwest::Method;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use super::comparison::compare;
use super::recording::{self, Exchange, Outside, Recorded};
use super::setting::client;

/// How long an answer may take to become the recorded one.
const DEADLINE: Duration = Duration::from_secs(30);
const SECRET: &str = "00000000-0000-0000-0000-000000000001";

/// A recording and the number of an exchange in it.
type Place = (String, u32);

/// How one exchange went.
struct Outcome {
    place: Place,
    name: String,
    problems: Vec<String>,
    imitated: bool,
}

#[tokio::test]
async fn what_was_recorded_is_answered_alike() {
    let allowed = allowed();
    let replays = recording::NAMES.map(|name| replay(name, &allowed));
    let outcomes: Vec<Outcome> = futures::future::join_all(replays).await.into_iter().flatten().collect();
    let report = report(&outcomes);
    println!("{report}");
    let verdict = verdict(&outcomes, &allowed);
    assert!(verdict.is_empty(), "{}\n{report}", verdict.join("\n"));
}

#[test]
fn every_allowed_difference_is_documented() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/simulated-proxmox.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, known) = page.split_once("## Known differences").unwrap();
    let missing: Vec<String> = recording::differences()
        .into_iter()
        .map(|difference| difference.reason)
        .filter(|reason| !known.contains(reason.as_str()))
        .collect();
    assert!(missing.is_empty(), "docs/simulated-proxmox.md doesn't give these reasons: {missing:#?}");
}

#[test]
fn every_allowed_difference_names_an_exchange_once() {
    let recorded: BTreeMap<Place, String> = recording::NAMES
        .into_iter()
        .flat_map(|name| recording::exchanges(name).into_iter().map(|e| ((name.to_owned(), e.seq), e.name)))
        .collect();
    let mut seen = BTreeSet::new();
    for difference in recording::differences() {
        for (file, exchanges) in difference.exchanges {
            for (seq, name) in exchanges {
                let place = (file.clone(), seq);
                assert_eq!(recorded.get(&place), Some(&name), "{place:?}");
                assert!(seen.insert(place), "{file} {seq} is listed twice");
            }
        }
    }
}

#[test]
fn a_difference_must_be_listed_and_a_listed_one_must_differ() {
    let outcome = |seq, agrees: bool| {
        let problems = if agrees { vec![] } else { vec!["status".to_owned()] };
        Outcome { place: ("file".to_owned(), seq), name: format!("n{seq}"), problems, imitated: true }
    };
    let allowed = [(2, false), (3, false), (4, true), (5, true)]
        .map(|(seq, timing)| (("file".to_owned(), seq), timing));
    let outcomes = [(0, true), (1, false), (2, false), (3, true), (4, true), (5, false)];
    let verdict = verdict(&outcomes.map(|(seq, agrees)| outcome(seq, agrees)), &allowed.into());
    assert_eq!(
        verdict,
        ["file 1 n1 differs and isn't allowed to", "file 3 n3 agrees: remove it from the list"]
    );
}

/// The places that may differ, and whether that depends on the moment.
fn allowed() -> BTreeMap<Place, bool> {
    let mut allowed = BTreeMap::new();
    for difference in recording::differences() {
        for (file, exchanges) in difference.exchanges {
            allowed.extend(exchanges.into_keys().map(|seq| ((file.clone(), seq), difference.timing)));
        }
    }
    allowed
}

/// What is wrong: differences that nobody allowed, and allowed ones that aren't any more.
fn verdict(outcomes: &[Outcome], allowed: &BTreeMap<Place, bool>) -> Vec<String> {
    let judge = |outcome: &Outcome| {
        let (file, seq) = &outcome.place;
        match (outcome.problems.is_empty(), allowed.get(&outcome.place)) {
            (false, None) => Some(format!("{file} {seq} {} differs and isn't allowed to", outcome.name)),
            (true, Some(false)) => {
                Some(format!("{file} {seq} {} agrees: remove it from the list", outcome.name))
            }
            _ => None,
        }
    };
    outcomes.iter().filter_map(judge).collect()
}

fn report(outcomes: &[Outcome]) -> String {
    let mut report = String::new();
    for name in recording::NAMES {
        let of_file: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.place.0 == name).collect();
        let agree = of_file.iter().filter(|outcome| outcome.problems.is_empty()).count();
        let unimitated = of_file.iter().filter(|outcome| !outcome.imitated).count();
        let differ = of_file.len() - agree - unimitated;
        writeln!(report, "{name}: {agree} agree, {differ} differ, {unimitated} not imitated").unwrap();
        for outcome in of_file.iter().filter(|outcome| !outcome.problems.is_empty()) {
            let (seq, name) = (outcome.place.1, &outcome.name);
            writeln!(report, "  {seq} {name}: {}", outcome.problems.join("; ")).unwrap();
        }
    }
    report
}

async fn replay(name: &str, allowed: &BTreeMap<Place, bool>) -> Vec<Outcome> {
    let mut outside = recording::outside(name);
    let mut player = Player::start(name).await;
    let mut outcomes = vec![];
    for exchange in recording::exchanges(name) {
        if let Some(step) = outside.remove(&exchange.seq) {
            player.step_in(step).await;
        }
        let place = (name.to_owned(), exchange.seq);
        let (ours, problems) = player.play(&exchange, allowed.contains_key(&place)).await;
        let imitated =
            problems.is_empty() || !(ours.status == 501 && ours.reason.ends_with("not implemented"));
        outcomes.push(Outcome { place, name: exchange.name, problems, imitated });
    }
    assert!(outside.is_empty(), "{name}: outside.yaml names exchanges that don't exist: {outside:?}");
    outcomes
}

/// A simulation, a client, and what the recorded ids and digests are called here.
struct Player {
    simulator: Simulator,
    client: reqwest::Client,
    ticket: String,
    csrf: String,
    ours: BTreeMap<String, String>,
}

impl Player {
    async fn start(recording: &str) -> Self {
        let options = Options { world: recording::world(recording), plain_http: true, ..Options::default() };
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

    async fn step_in(&mut self, step: Outside) {
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
    async fn play(&mut self, exchange: &Exchange, expected: bool) -> (Recorded, Vec<String>) {
        let Exchange { request, response: theirs, .. } = exchange;
        let of_task = request.path.contains("/tasks/") && request.path.ends_with("/status");
        let state = |answer: &Recorded| answer.body.as_ref().map(|body| body["data"]["status"].clone());
        let deadline = Instant::now() + DEADLINE;
        loop {
            let ours = self.send(exchange).await;
            let problems = compare(&ours, theirs, of_task);
            let settled = problems.is_empty()
                || request.method != "GET"
                || (ours.status == 501 && theirs.status != 501)
                || (expected && (!of_task || state(&ours) == state(theirs)))
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
