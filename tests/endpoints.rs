//! Several endpoints of one cluster: who is asked, who is handed a change, and who is found to be somebody else.
// A test that can't prepare its world has nothing better to do than to stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proxmox_agent::{
    api::{Phase, PlanStatus},
    catalog::{Call, Method, Reading},
    core::{observe::Query, task::Sent},
    ports::Departure,
    pve::{
        Client, Trust,
        sim::{Fault, Options, Outcome, Simulator, Trigger, World},
        survey, tasks,
    },
    system::{Alone, SystemClock},
};
use serde_json::json;
use support::{
    home::{Home, SECRET, impatiently, shared_secret},
    proxmox::at_once,
    relay::Relay,
    stage::TOKEN,
};

async fn cluster(more: &str) -> Simulator {
    Simulator::start(Options { world: shared_secret(more), ..Options::default() }).await.unwrap()
}

/// Another cluster that knows the same token.
async fn stranger() -> Simulator {
    let world = format!(
        "nodes: {{alien1: {{}}}}\nguests: {{101: {{type: qemu, node: alien1, config: {{name: batch-1}}}}}}\n\
         users: {{agent@pve: {{tokens: {{operator: {{privsep: 0, secret: {SECRET}}}}}}}}}\n\
         acl: [{{path: /, who: \"agent@pve\", role: Administrator}}]\n"
    );
    let world = World::from_yaml(&world).unwrap();
    Simulator::start(Options { world, ..Options::default() }).await.unwrap()
}

fn client(endpoints: &[&Relay]) -> Client {
    let urls: Vec<String> = endpoints.iter().map(|relay| relay.url()).collect();
    let token = format!("{TOKEN}={SECRET}").parse().unwrap();
    Client::new(&urls, token, &Trust::Anyone, Duration::from_secs(10)).unwrap()
}

fn start() -> Call {
    Call {
        method: Method::Post,
        path: "/nodes/pve1/qemu/101/status/start".to_owned(),
        params: BTreeMap::default(),
        starts_task: true,
        secrets: BTreeMap::default(),
    }
}

fn change(method: Method) -> Call {
    Call { method, path: "/nodes/pve1/qemu/101".to_owned(), ..start() }
}

/// What the cluster has received, and what became of it.
fn received(sim: &Simulator) -> Vec<Outcome> {
    sim.ledger().iter().map(|entry| entry.outcome).collect()
}

/// Another world takes the place of the one that is there.
async fn replace_world(sim: &Simulator, world: String) {
    // The second time somebody has installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let anyone = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
    let put = anyone.put(format!("{}/_sim/world", sim.url())).body(world);
    assert!(put.send().await.unwrap().status().is_success());
}

// ---- reads

#[tokio::test(flavor = "multi_thread")]
async fn a_read_goes_on_to_the_next_endpoint_and_stays_with_the_one_that_works() {
    let sim = cluster("").await;
    let (gone, there) = (Relay::nowhere().await, Relay::to(&sim).await);
    let client = client(&[&gone, &there]);
    survey::version(&client).await.unwrap();
    let in_vain = gone.connections();
    assert!(in_vain >= 1);
    for _ in 0..5 {
        survey::version(&client).await.unwrap();
    }
    assert_eq!(gone.connections(), in_vain, "the one that last worked is asked first");
    there.cut();
    gone.lead_to(&sim);
    survey::version(&client).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_goes_on_where_a_proxy_can_not_pass_it_on() {
    for status in [502, 503, 504, 595, 596, 599] {
        let sim = cluster("").await;
        let (one, other) = (Relay::to(&sim).await, Relay::to(&sim).await);
        let client = client(&[&one, &other]);
        client.meet().await.unwrap();
        let when =
            Trigger { method: Some("GET".into()), path: Some("/version".into()), ..Trigger::default() };
        sim.set_faults(vec![Fault::Answer { when, status, reason: None, executed: false }]);
        survey::version(&client).await.unwrap();
        assert_eq!(sim.reads()["/version"], 2, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_an_answer_whatever_it_says() {
    let sim = cluster("").await;
    let (one, other) = (Relay::to(&sim).await, Relay::to(&sim).await);
    let client = client(&[&one, &other]);
    client.meet().await.unwrap();
    assert!(client.get::<serde_json::Value>("/nodes/pve1/qemu/999/config", &[]).await.is_err());
    assert_eq!(sim.reads()["/nodes/pve1/qemu/999/config"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_can_be_reached_everybody_is_named() {
    let (one, other) = (Relay::nowhere().await, Relay::nowhere().await);
    let error = survey::version(&client(&[&one, &other])).await.unwrap_err().to_string();
    assert!(error.contains(&one.url()) && error.contains(&other.url()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_asked_for_through_any_endpoint() {
    let sim = cluster("").await;
    let (one, other) = (Relay::to(&sim).await, Relay::to(&sim).await);
    let client = client(&[&one, &other]);
    let Sent::Task(upid) = client.send(&start(), &BTreeMap::new(), &at_once()).await else {
        panic!("it was not started")
    };
    one.cut();
    tasks::task_state(&client, &upid).await.unwrap();
    other.cut();
    one.lead_to(&sim);
    tasks::task_state(&client, &upid).await.unwrap();
}

// ---- changes

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_found_no_connection_goes_to_the_next_endpoint_once() {
    let sim = cluster("").await;
    let (gone, there) = (Relay::to(&sim).await, Relay::to(&sim).await);
    let client = client(&[&gone, &there]);
    client.meet().await.unwrap();
    gone.cut();
    assert!(matches!(client.send(&start(), &BTreeMap::new(), &at_once()).await, Sent::Task(_)));
    assert_eq!(received(&sim), [Outcome::Executed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_takes_a_connection_and_says_nothing_does_not_use_up_the_time() {
    let sim = cluster("").await;
    let there = Relay::to(&sim).await;
    // The kernel takes the connection, and nobody ever answers the handshake.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let urls = [format!("https://{}", mute.local_addr().unwrap()), there.url()];
    let token = format!("{TOKEN}={SECRET}").parse().unwrap();
    let client = Client::new(&urls, token, &Trust::Anyone, Duration::from_secs(60)).unwrap();
    assert!(matches!(client.send(&start(), &BTreeMap::new(), &at_once()).await, Sent::Task(_)));
    assert_eq!(received(&sim), [Outcome::Executed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_the_proxy_could_not_pass_on_goes_to_the_next_endpoint_once() {
    let sim = cluster("").await;
    let (one, other) = (Relay::to(&sim).await, Relay::to(&sim).await);
    let client = client(&[&one, &other]);
    client.meet().await.unwrap();
    let when = Trigger::default();
    sim.set_faults(vec![Fault::Answer { when, status: 595, reason: None, executed: false }]);
    assert!(matches!(client.send(&start(), &BTreeMap::new(), &at_once()).await, Sent::Task(_)));
    assert_eq!(received(&sim), [Outcome::NotExecuted, Outcome::Executed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_may_have_arrived_is_never_handed_to_anybody_else() {
    let when = Trigger::default;
    let answer = |status, executed| Fault::Answer { when: when(), status, reason: None, executed };
    let doubts = [
        Fault::LostRequest { when: when() },
        Fault::LostResponse { when: when() },
        Fault::Restart { when: when(), executed: false },
        Fault::Restart { when: when(), executed: true },
        answer(500, false),
        answer(500, true),
        answer(502, true),
        answer(503, false),
        answer(504, true),
        answer(596, true),
        answer(596, false),
        answer(597, true),
        answer(599, false),
    ];
    for doubt in doubts {
        let sim = cluster("").await;
        let (one, other) = (Relay::to(&sim).await, Relay::to(&sim).await);
        let client = client(&[&one, &other]);
        client.meet().await.unwrap();
        let before = other.connections();
        sim.set_faults(vec![doubt.clone()]);
        let sent = client.send(&start(), &BTreeMap::new(), &at_once()).await;
        assert!(!matches!(sent, Sent::NotSent { .. } | Sent::Task(_)), "{doubt:?}: {sent:?}");
        assert_eq!(received(&sim).len(), 1, "{doubt:?}");
        assert_eq!(other.connections(), before, "{doubt:?}");
    }
}

/// The proxy may have sent it once before over a connection that it had kept, and tells only of the second time.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_a_proxy_repeats_by_itself_is_never_handed_to_anybody_else() {
    for method in [Method::Put, Method::Delete] {
        for executed in [false, true] {
            let sim = cluster("").await;
            let (one, other) = (Relay::to(&sim).await, Relay::to(&sim).await);
            let client = client(&[&one, &other]);
            client.meet().await.unwrap();
            let before = other.connections();
            sim.set_faults(vec![Fault::Answer {
                when: Trigger::default(),
                status: 595,
                reason: None,
                executed,
            }]);
            let sent = client.send(&change(method), &BTreeMap::new(), &at_once()).await;
            assert!(matches!(sent, Sent::Unknown { .. }), "{method:?}: {sent:?}");
            assert_eq!((received(&sim).len(), other.connections()), (1, before), "{method:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_deletion_that_is_answered_595_after_it_ran_runs_once() {
    let sim = cluster("").await;
    let (one, other) = (Relay::to(&sim).await, Relay::to(&sim).await);
    let home = Home::with(&[one.url(), other.url()], SECRET, &json!({"requestTimeoutSeconds": 1}));
    home.plan("delete", "delete_guest", "qemu/101", &json!({}));
    home.settle().await;
    home.approve("delete", "yes").await;
    let when = Trigger { method: Some("DELETE".to_owned()), ..Trigger::default() };
    sim.set_faults(vec![Fault::Answer { when, status: 595, reason: None, executed: true }]);
    let running = home.run();
    let is_answered = |status: &PlanStatus| status.answer.is_some() || status.upid.is_some();
    let status = home.plan_when("delete", is_answered).await;
    drop(running);
    assert_eq!(status.phase, Phase::Dispatching, "{}", status.message);
    assert_eq!(received(&sim), [Outcome::Executed]);
}

/// So long after its announcement the lost call of a plan for this guest settles, in seconds.
async fn settles_after(endpoints: &[&Relay], sim: &Simulator, guest: &str, pinned: bool) -> i64 {
    let urls: Vec<String> = endpoints.iter().map(|relay| relay.url()).collect();
    let spec = if pinned { impatiently(sim) } else { json!({"requestTimeoutSeconds": 1}) };
    let home = Home::with(&urls, SECRET, &spec);
    home.plan("change", "create_snapshot", guest, &json!({}));
    sim.set_faults(vec![Fault::LostResponse { when: Trigger::default() }]);
    let running = home.run();
    let status = home.plan_when("change", |status| status.answer.is_some()).await;
    drop(running);
    let intent = status.intent.unwrap();
    intent.settles_at.0.duration_since(intent.at.0).as_secs()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_may_be_passed_on_inside_the_cluster_settles_half_a_minute_later() {
    let sim = cluster("").await;
    let (one, other) = (Relay::to(&sim).await, Relay::to(&sim).await);
    let at_once = settles_after(&[&one], &sim, "qemu/101", true).await;
    assert!((9..=10).contains(&at_once), "{at_once}");
    for (endpoints, guest, pinned) in [
        (&[&one][..], "lxc/200", true),
        (&[&one][..], "qemu/101", false),
        (&[&one, &other][..], "qemu/101", false),
    ] {
        let later = settles_after(endpoints, &sim, guest, pinned).await;
        assert!((39..=40).contains(&later), "{guest}: {later}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_refused_is_not_asked_of_anybody_else() {
    let sim = cluster("").await;
    let (one, other) = (Relay::to(&sim).await, Relay::to(&sim).await);
    let client = client(&[&one, &other]);
    client.meet().await.unwrap();
    let wrong = Call { path: "/nodes/pve1/qemu/101/status/nonsense".to_owned(), ..start() };
    assert!(matches!(client.send(&wrong, &BTreeMap::new(), &at_once()).await, Sent::Refused { .. }));
    assert_eq!(received(&sim).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_time_is_over_no_other_endpoint_is_tried() {
    let sim = cluster("").await;
    let (slow, there) = (Relay::to(&sim).await, Relay::to(&sim).await);
    let client = client(&[&slow, &there]);
    client.meet().await.unwrap();
    slow.hold();
    let before = there.connections();
    // It is spent on the one that never shakes hands.
    let hardly_any = Departure::within(Arc::new(SystemClock), Arc::new(Alone), Duration::from_millis(300));
    let sent = client.send(&start(), &BTreeMap::new(), &hardly_any).await;
    assert!(matches!(&sent, Sent::NotSent { why } if why.contains("time to leave has passed")), "{sent:?}");
    assert_eq!(there.connections(), before);
    assert_eq!(received(&sim), []);
}

// ---- other clusters

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_of_two_clusters_are_noticed_before_anything_is_sent() {
    let (sim, other) = (cluster("").await, stranger().await);
    let (ours, theirs) = (Relay::to(&sim).await, Relay::to(&other).await);
    let client = client(&[&ours, &theirs]);
    let error = client.meet().await.unwrap_err().to_string();
    assert!(error.contains(&theirs.url()) && error.contains(&ours.url()), "{error}");
    assert!(error.contains("alien1") && error.contains("pve1"), "{error}");
    assert!(matches!(client.send(&start(), &BTreeMap::new(), &at_once()).await, Sent::NotSent { .. }));
    assert!(survey::version(&client).await.is_err());
    assert_eq!((received(&sim), received(&other)), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_leads_to_another_cluster_now_is_not_handed_what_was_meant_for_ours() {
    let (sim, other) = (cluster("").await, stranger().await);
    let (ours, theirs) = (Relay::to(&sim).await, Relay::to(&sim).await);
    let client = client(&[&ours, &theirs]);
    client.meet().await.unwrap();
    // Nobody has asked there since: only the introduction right before the change can tell.
    theirs.lead_to(&other);
    ours.cut();
    assert!(matches!(client.send(&start(), &BTreeMap::new(), &at_once()).await, Sent::NotSent { .. }));
    assert_eq!((received(&sim), received(&other)), (vec![], vec![]));
    assert!(client.meet().await.is_err(), "and from now on nothing is sent anywhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_was_down_has_to_introduce_itself_before_it_is_believed() {
    let (sim, other) = (cluster("").await, stranger().await);
    let (ours, late) = (Relay::to(&sim).await, Relay::nowhere().await);
    let client = client(&[&ours, &late]);
    client.meet().await.unwrap();
    late.lead_to(&other);
    ours.cut();
    let all = survey::read(&client, Reading::Inventory, &Query::inventory(), u32::MAX).await;
    assert!(all.is_err(), "the guests of another cluster are not ours");
    assert!(matches!(client.send(&start(), &BTreeMap::new(), &at_once()).await, Sent::NotSent { .. }));
    assert_eq!(received(&other), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_alone_after_a_restart_has_to_be_the_cluster_that_was_met_before() {
    let (sim, other) = (cluster("").await, stranger().await);
    let (ours, theirs) = (Relay::to(&sim).await, Relay::nowhere().await);
    let home = Home::with(&[ours.url(), theirs.url()], SECRET, &json!({}));
    home.settle().await;
    assert_eq!(home.readiness("home").await.0, "Reachable");
    let (_, message) = home.readiness("home").await;
    assert!(message.contains(&format!("{} does not", theirs.url())), "{message}");
    let home = home.restarted();
    home.plan("start", "start_guest", "qemu/101", &json!({}));
    ours.cut();
    theirs.lead_to(&other);
    home.settle().await;
    assert_eq!(home.readiness("home").await.0, "EndpointsDisagree");
    let status = home.status("start").await;
    assert_eq!((status.phase, status.reason.as_str()), (Phase::Pending, "EndpointsDisagree"));
    assert_eq!(received(&other), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_of_two_clusters_is_not_ready_and_its_plans_wait_until_it_is_corrected() {
    let (sim, other) = (cluster("").await, stranger().await);
    let (ours, theirs) = (Relay::to(&sim).await, Relay::to(&other).await);
    let home = Home::with(&[ours.url(), theirs.url()], SECRET, &json!({}));
    home.plan("start", "start_guest", "qemu/101", &json!({}));
    home.settle().await;
    let (reason, message) = home.readiness("home").await;
    assert_eq!(reason, "EndpointsDisagree");
    assert!(message.contains(&theirs.url()), "{message}");
    let status = home.status("start").await;
    assert_eq!((status.phase, status.reason.as_str()), (Phase::Pending, "EndpointsDisagree"));
    assert_eq!((received(&sim), received(&other)), (vec![], vec![]));

    home.environment("home", &[ours.url()], &json!({}));
    home.settle().await;
    assert_eq!(home.status("start").await.phase, Phase::Succeeded);
    assert_eq!(home.readiness("home").await.0, "Reachable");
    assert_eq!((received(&sim), received(&other)), (vec![Outcome::Executed], vec![]));
}

// ---- one connection

#[tokio::test(flavor = "multi_thread")]
async fn all_looks_share_the_connections_of_their_environment() {
    let sim = cluster("").await;
    let relay = Relay::to(&sim).await;
    let home = Home::with(&[relay.url()], SECRET, &json!({}));
    const LOOKS: usize = 30;
    for _ in 0..LOOKS {
        home.settle().await;
    }
    // A few, because a look asks several nodes at the same time; but not one for each look.
    println!("{LOOKS} looks, {} connections", relay.connections());
    assert!(relay.connections() < LOOKS, "{} connections", relay.connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_token_and_a_changed_address_are_noticed_at_the_next_look() {
    let sim = cluster("").await;
    let (one, other) = (Relay::to(&sim).await, Relay::to(&sim).await);
    let home = Home::with(&[one.url()], "not-the-secret-yet", &json!({}));
    home.settle().await;
    assert_eq!(home.readiness("home").await.0, "ProxmoxUnavailable");
    home.set_token(SECRET);
    home.settle().await;
    assert_eq!(home.readiness("home").await.0, "Reachable");
    home.environment("home", &[other.url()], &json!({}));
    let before = one.connections();
    home.settle().await;
    assert!(other.connections() > 0);
    assert_eq!(one.connections(), before);
}

// ---- the look at an environment

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_stops_answering_is_not_ready_at_the_next_look() {
    let sim = cluster("").await;
    let relay = Relay::to(&sim).await;
    let home = Home::with(&[relay.url()], SECRET, &json!({}));
    home.settle().await;
    assert_eq!(home.readiness("home").await.0, "Reachable");
    let nodes = home.environment_status("home").await.nodes;
    relay.cut();
    home.settle().await;
    assert_eq!(home.readiness("home").await.0, "ProxmoxUnavailable");
    assert_eq!(home.environment_status("home").await.nodes, nodes, "what was met before is not forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_told_once_and_stands_in_the_status() {
    let world = |ahead: i64| {
        format!(
            "nodes: {{pve1: {{}}, pve2: {{clockAhead: {ahead}}}, pve3: {{online: false}}}}\n\
             users: {{agent@pve: {{tokens: {{operator: {{privsep: 0, secret: {SECRET}}}}}}}}}\n\
             acl: [{{path: /, who: \"agent@pve\", role: PVEAuditor}}]\n"
        )
    };
    let options = Options { world: World::from_yaml(&world(-95)).unwrap(), ..Options::default() };
    let sim = Simulator::start(options).await.unwrap();
    let home = Home::before(&sim, &json!({}));
    home.settle().await;
    let first = home.environment_status("home").await;
    let ahead: Vec<_> =
        first.nodes.iter().map(|node| (node.name.as_str(), node.clock_ahead_seconds)).collect();
    assert!(
        matches!(ahead.as_slice(), [("pve1", Some(-2..=2)), ("pve2", Some(-97..=-93)), ("pve3", None)]),
        "{ahead:?}"
    );
    let (reason, message) = home.readiness("home").await;
    assert_eq!(reason, "Reachable");
    assert!(message.contains("the clock of node pve2 is 9"), "{message}");
    for noise in [-94, -95, -96] {
        replace_world(&sim, world(noise)).await;
        home.settle().await;
        assert_eq!(home.environment_status("home").await, first, "{noise}");
    }
    assert_eq!(home.events().matches("ClockSkew").count(), 1, "{}", home.events());
}
