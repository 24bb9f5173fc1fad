//! The promises of the transport, against a server that breaks every rule.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use jiff::Timestamp;
use rustls::version::{TLS12, TLS13};
use secrecy::SecretString;
use tokio::{net::TcpListener, sync::Notify};

use crate::{
    api::{Tier, TlsTrust},
    catalog::{Call, Method},
    core::task::Sent,
    ports::{Clock, Departure, Leadership},
    system::{Alone, SystemClock},
};

use super::{
    Client, ReadError, Trust,
    survey::version,
    testing::{CANARY, Identity, Reply, Server, impatient_client, token},
};

const UPID: &str = "UPID:pve1:00001619:00062D39:6B00EAFE:qmstart:101:agent@pve!plans:";

/// As long as a change may take to leave.
fn at_once() -> Departure {
    Departure::within(Arc::new(SystemClock), Arc::new(Alone), Duration::from_secs(5))
}

fn call(method: Method) -> Call {
    let params =
        [("description", "a b&c;é"), ("force", "1")].map(|(name, value)| (name.into(), value.into()));
    Call {
        method,
        path: "/nodes/pve1/qemu/101/status/start".to_owned(),
        params: BTreeMap::from(params),
        starts_task: true,
        secrets: BTreeMap::new(),
    }
}

fn started() -> Reply {
    Reply::ok(&format!(r#"{{"data":"{UPID}"}}"#))
}

fn bundle(pem: &str) -> Trust {
    Trust::of(&TlsTrust { ca_bundle: Some(pem.to_owned()), ..Default::default() }, Tier::Production).unwrap()
}

/// Sends once to a server that does this, and makes sure that it met at most one request.
async fn send_to(reply: Reply) -> (Sent, usize) {
    let server = Server::plain([reply, started(), started()]).await;
    let sent = server.client(&Trust::Anyone).send(&call(Method::Post), &BTreeMap::new(), &at_once()).await;
    assert!(server.connections() <= 1, "{} connections for one change", server.connections());
    (sent, server.requests().len())
}

#[tokio::test]
async fn post_and_put_send_a_form_and_delete_a_query_without_a_body() {
    let server = Server::plain([started(), started(), started()]).await;
    let client = server.client(&Trust::Anyone);
    for method in [Method::Post, Method::Put, Method::Delete] {
        assert!(
            matches!(client.send(&call(method), &BTreeMap::new(), &at_once()).await, Sent::Task(upid) if upid.as_str() == UPID)
        );
    }
    let requests = server.requests();
    let form = "description=a+b%26c%3B%C3%A9&force=1";
    for (request, method) in requests.iter().zip(["POST", "PUT"]) {
        let path = "/api2/json/nodes/pve1/qemu/101/status/start";
        assert!(request.starts_with(&format!("{method} {path} HTTP/1.1\r\n")), "{request}");
        assert!(request.ends_with(&format!("\r\n\r\n{form}")), "{request}");
        assert!(request.contains("application/x-www-form-urlencoded"), "{request}");
    }
    assert!(
        requests[2].starts_with("DELETE /api2/json/nodes/pve1/qemu/101/status/start?description="),
        "{}",
        requests[2]
    );
    assert!(requests[2].contains(form) && requests[2].ends_with("\r\n\r\n"), "{}", requests[2]);
    assert!(!requests[2].contains("content-length"), "{}", requests[2]);
    for request in &requests {
        assert!(request.contains(&format!("authorization: PVEAPIToken=agent@pve!plans={CANARY}\r\n")));
    }
}

#[tokio::test]
async fn a_secret_stands_in_the_form_as_it_is_kept() {
    let server = Server::plain([started()]).await;
    let value = SecretString::from("p&s=\"ü\n2\n".to_owned());
    let secrets = BTreeMap::from([("cipassword".to_owned(), value)]);
    server.client(&Trust::Anyone).send(&call(Method::Put), &secrets, &at_once()).await;
    let request = &server.requests()[0];
    assert!(request.contains("\r\n\r\ncipassword=p%26s%3D%22%C3%BC%0A2&description="), "{request}");
}

#[tokio::test]
async fn a_change_without_parameters_is_not_chunked_which_proxmox_refuses() {
    let server = Server::plain([started(), started()]).await;
    for method in [Method::Post, Method::Delete] {
        let bare = Call { params: BTreeMap::new(), ..call(method) };
        assert!(matches!(
            server.client(&Trust::Anyone).send(&bare, &BTreeMap::new(), &at_once()).await,
            Sent::Task(_)
        ));
    }
    let requests = server.requests();
    assert!(requests[0].contains("content-length: 0\r\n"), "{}", requests[0]);
    assert!(
        requests[1].starts_with("DELETE /api2/json/nodes/pve1/qemu/101/status/start HTTP/1.1\r\n"),
        "{}",
        requests[1]
    );
    assert!(requests.iter().all(|request| !request.contains("transfer-encoding")));
}

#[tokio::test]
async fn an_error_means_something_else_where_there_is_no_task() {
    let error = Reply::json(500, "no", r#"{"data":null,"message":"no\n"}"#);
    let server = Server::plain([error.clone(), error]).await;
    let client = server.client(&Trust::Anyone);
    assert!(matches!(
        client.send(&call(Method::Put), &BTreeMap::new(), &at_once()).await,
        Sent::Refused { status: 500, .. }
    ));
    let without_a_task = Call { starts_task: false, ..call(Method::Put) };
    assert!(matches!(
        client.send(&without_a_task, &BTreeMap::new(), &at_once()).await,
        Sent::HalfWay { status: 500, .. }
    ));
}

#[tokio::test]
async fn a_connection_that_breaks_after_it_came_about_leaves_the_outcome_unknown() {
    for reply in [
        Reply::Close,
        Reply::SayAndClose("HTTP/1.1 200 O".to_owned()),
        Reply::SayAndClose(
            "HTTP/1.1 200 OK\r\nContent-Length: 80\r\n\r\n{\"data\":\"UPID:pve1:0000".to_owned(),
        ),
        Reply::SayAndClose("HTTP/1.1 200 OK\r\n\r\n{\"data\":\"UPID:pve1:0000".to_owned()),
        Reply::SayAndClose(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{\"data\":null}\r\n".to_owned(),
        ),
        Reply::SayAndClose("HTTP/1.1 500 no\r\nContent-Length: 80\r\n\r\n{\"data\":null".to_owned()),
        Reply::SayAndClose("SSH-2.0-OpenSSH_9.9\r\n\r\n".to_owned()),
    ] {
        let (sent, requests) = send_to(reply.clone()).await;
        assert!(matches!(sent, Sent::Unknown { .. }), "{reply:?}: {sent:?}");
        assert!(requests <= 1, "{reply:?}: {requests} requests");
    }
}

/// It depends on who is faster; either way no request has come through.
#[tokio::test]
async fn a_connection_that_is_reset_at_once_is_not_taken_for_an_answer() {
    let (sent, requests) = send_to(Reply::Reset).await;
    assert!(matches!(sent, Sent::Unknown { .. } | Sent::NotSent { .. }), "{sent:?}");
    assert_eq!(requests, 0);
}

#[tokio::test]
async fn a_server_that_never_answers_leaves_the_outcome_unknown() {
    for reply in [
        Reply::Silence,
        Reply::Say("HTTP/1.1 200 OK\r\nContent-Length: 80\r\n\r\n{\"data\":\"UPID".to_owned()),
    ] {
        let server = Server::plain([reply, started()]).await;
        let sent = server
            .impatient_client(&Trust::Anyone)
            .send(&call(Method::Post), &BTreeMap::new(), &at_once())
            .await;
        assert!(matches!(&sent, Sent::Unknown { why } if why.contains("timed out")), "{sent:?}");
        assert_eq!((server.connections(), server.requests().len()), (1, 1));
    }
}

#[tokio::test]
async fn what_finds_no_connection_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for endpoint in [closed.as_str(), "http://no-such-host.invalid:8006"] {
        let sent = impatient_client(endpoint, &Trust::Anyone)
            .send(&call(Method::Post), &BTreeMap::new(), &at_once())
            .await;
        assert!(matches!(sent, Sent::NotSent { .. }), "{endpoint}: {sent:?}");
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_was_not_sent() {
    let server = Server::tls(&Identity::new(), [Reply::Ignore]).await;
    let sent =
        server.impatient_client(&Trust::Anyone).send(&call(Method::Post), &BTreeMap::new(), &at_once()).await;
    assert!(matches!(&sent, Sent::NotSent { why } if why.contains("timed out")), "{sent:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let target = Server::plain([started()]).await;
        let reply = format!(
            "HTTP/1.1 {status} Moved\r\nLocation: {}/\r\nContent-Length: 0\r\n\r\n",
            target.endpoint()
        );
        let (sent, requests) = send_to(Reply::Say(reply)).await;
        assert!(matches!(sent, Sent::Unknown { .. }), "{status}: {sent:?}");
        assert_eq!((requests, target.connections()), (1, 0), "{status}");
    }
}

#[tokio::test]
async fn statuses_of_the_proxy_are_told_apart_on_the_wire() {
    for method in [Method::Post, Method::Put, Method::Delete] {
        for status in [595, 596, 597, 599, 502, 503, 504] {
            let server = Server::plain([Reply::json(status, "Connection refused", "")]).await;
            let sent = server.client(&Trust::Anyone).send(&call(method), &BTreeMap::new(), &at_once()).await;
            let is_proof = status == 595 && method == Method::Post;
            assert_eq!(matches!(sent, Sent::NotSent { .. }), is_proof, "{method:?} {status}: {sent:?}");
            assert_eq!(matches!(sent, Sent::Unknown { .. }), !is_proof, "{method:?} {status}: {sent:?}");
            assert_eq!(server.requests().len(), 1);
        }
    }
}

#[tokio::test]
async fn both_shapes_of_a_refusal_give_the_same_message() {
    for (reason, body) in [
        ("VM 100 not running", r#"{"data":null}"#),
        ("VM 100 not running", r#"{"data":null,"message":"VM 100 not running\n"}"#),
    ] {
        let (sent, _) = send_to(Reply::json(500, reason, body)).await;
        assert_eq!(sent, Sent::Refused { status: 500, message: "VM 100 not running".to_owned() });
    }
}

#[tokio::test]
async fn changes_never_share_a_connection_even_if_the_server_would() {
    let server = Server::plain([started(), started(), started()]).await;
    let client = server.client(&Trust::Anyone);
    for count in 1..=3 {
        assert!(matches!(
            client.send(&call(Method::Post), &BTreeMap::new(), &at_once()).await,
            Sent::Task(_)
        ));
        assert_eq!((server.connections(), server.requests().len()), (count, count));
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_just_before_costs_no_second_request() {
    let bytes = |reply| if let Reply::Say(bytes) = reply { bytes } else { panic!() };
    let close = || Reply::SayAndClose(bytes(started()));
    let server = Server::plain([close(), Reply::Close, started(), Reply::Reset, started()]).await;
    let client = server.client(&Trust::Anyone);
    let expected: [fn(&Sent) -> bool; 4] = [
        |sent| matches!(sent, Sent::Task(_)),
        |sent| matches!(sent, Sent::Unknown { .. }),
        |sent| matches!(sent, Sent::Task(_)),
        |sent| matches!(sent, Sent::Unknown { .. } | Sent::NotSent { .. }),
    ];
    for (index, expected) in expected.iter().enumerate() {
        let sent = client.send(&call(Method::Post), &BTreeMap::new(), &at_once()).await;
        assert!(expected(&sent), "{index}: {sent:?}");
        assert_eq!(server.connections(), index + 1);
    }
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn reads_share_a_connection_and_survive_its_end() {
    let ok = || Reply::ok(r#"{"data":{"version":"9.2.11","release":"9.2"}}"#);
    let Reply::Say(last) = ok() else { panic!() };
    let server = Server::plain([ok(), Reply::SayAndClose(last), ok()]).await;
    let client = server.client(&Trust::Anyone);
    for _ in 0..3 {
        assert_eq!(version(&client).await.unwrap(), "9.2.11");
    }
    assert_eq!((server.connections(), server.requests().len()), (2, 3));
}

#[tokio::test]
async fn a_proxy_in_the_environment_is_not_used() {
    const INSIDE: &str = "PROXY_TEST_INSIDE";
    // A process's own environment can't be changed safely while other tests run, so this one starts itself again.
    if std::env::var_os(INSIDE).is_none() {
        let mut inner = std::process::Command::new(std::env::current_exe().unwrap());
        inner
            .args(["--exact", "pve::transport_tests::a_proxy_in_the_environment_is_not_used"])
            .env(INSIDE, "1");
        for variable in ["http_proxy", "https_proxy", "all_proxy"] {
            inner.env(variable, "http://127.0.0.1:1").env(variable.to_uppercase(), "http://127.0.0.1:1");
        }
        let output = inner.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let server = Server::plain([started()]).await;
    let sent = server.client(&Trust::Anyone).send(&call(Method::Post), &BTreeMap::new(), &at_once()).await;
    assert!(matches!(sent, Sent::Task(_)), "{sent:?}");
}

#[tokio::test]
async fn the_right_fingerprint_is_trusted_whatever_the_name_or_issuer() {
    for version in [&TLS12, &TLS13] {
        let identity = Identity::new().speaking(version);
        let server = Server::tls(&identity, [started()]).await;
        let sent = server
            .client(&Trust::Fingerprint(identity.fingerprint()))
            .send(&call(Method::Post), &BTreeMap::new(), &at_once())
            .await;
        assert!(matches!(sent, Sent::Task(_)), "{sent:?}");
    }
}

#[tokio::test]
async fn a_server_with_another_fingerprint_never_sees_a_request() {
    let identity = Identity::new();
    let server = Server::tls(&identity, [started()]).await;
    let client = server.client(&Trust::Fingerprint(Identity::new().fingerprint()));
    let sent = client.send(&call(Method::Post), &BTreeMap::new(), &at_once()).await;
    assert!(matches!(&sent, Sent::NotSent { why } if why.contains("tls.fingerprint")), "{sent:?}");
    let read = version(&client).await.unwrap_err();
    assert!(matches!(read, ReadError::Unreachable { .. }), "{read}");
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_copied_certificate_without_its_key_is_not_trusted() {
    let identity = Identity::new();
    let pin = Trust::Fingerprint(identity.fingerprint());
    for version in [&TLS12, &TLS13] {
        let impostor = identity.impersonated().speaking(version);
        for trust in [pin.clone(), bundle(&identity.authority_pem), Trust::Anyone] {
            let server = Server::tls(&impostor, [started()]).await;
            let sent = server.client(&trust).send(&call(Method::Post), &BTreeMap::new(), &at_once()).await;
            assert!(matches!(sent, Sent::NotSent { .. }), "{trust:?}: {sent:?}");
            assert_eq!(server.requests().len(), 0);
        }
    }
}

#[tokio::test]
async fn a_bundle_trusts_its_own_authority_and_no_other() {
    let identity = Identity::new();
    let server = Server::tls(&identity, [started()]).await;
    let sent = server
        .client(&bundle(&Identity::new().authority_pem))
        .send(&call(Method::Post), &BTreeMap::new(), &at_once())
        .await;
    assert!(matches!(sent, Sent::NotSent { .. }), "{sent:?}");
    assert_eq!(server.requests().len(), 0);
    let both = format!("{}{}", Identity::new().authority_pem, identity.authority_pem);
    let sent = server.client(&bundle(&both)).send(&call(Method::Post), &BTreeMap::new(), &at_once()).await;
    assert!(matches!(sent, Sent::Task(_)), "{sent:?}");
}

#[tokio::test]
async fn trusting_the_system_does_not_trust_a_stranger() {
    let server = Server::tls(&Identity::new(), [started()]).await;
    let token = token();
    // Where a machine trusts nobody at all, the client can't even be made.
    if let Ok(client) = Client::new(&[server.endpoint()], token, &Trust::System, Duration::from_secs(2)) {
        let sent = client.send(&call(Method::Post), &BTreeMap::new(), &at_once()).await;
        assert!(matches!(sent, Sent::NotSent { .. }), "{sent:?}");
    }
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_path_that_would_go_elsewhere_is_not_sent() {
    let server = Server::plain([started()]).await;
    let astray = Call { path: "/nodes/pve1/../../version".to_owned(), ..call(Method::Post) };
    assert!(matches!(
        server.client(&Trust::Anyone).send(&astray, &BTreeMap::new(), &at_once()).await,
        Sent::NotSent { .. }
    ));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_server_that_repeats_the_token_can_not_place_it_in_any_text() {
    for status in [200, 400, 401, 403, 500, 501, 503, 595] {
        let server = Server::plain([Reply::Echo(status), Reply::Echo(status)]).await;
        let client = server.client(&Trust::Anyone);
        let sent = client.send(&call(Method::Post), &BTreeMap::new(), &at_once()).await;
        let read = version(&client).await.unwrap_err();
        assert!(server.requests().iter().all(|request| request.contains(CANARY)));
        let shown = format!("{client:?} {sent:?} {read:?} {read}");
        assert!(!shown.contains("canary"), "{status}: {shown}");
        // What stands before it is repeated, so it was the redaction that kept it out.
        assert!(status == 200 || shown.contains("[redacted]"), "{status}: {shown}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_given_up() {
    let huge = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", 64 << 20, "x".repeat(33 << 20));
    let server = Server::plain([Reply::SayAndClose(huge)]).await;
    let error = version(&server.client(&Trust::Anyone)).await.unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

/// Time and the lead, as a test wants them.
#[derive(Debug, Default)]
struct Told {
    passed: AtomicU64,
    is_led_by_another: AtomicBool,
}

impl Clock for Told {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.passed.load(Ordering::SeqCst))
    }
    fn nonce(&self) -> String {
        SystemClock.nonce()
    }
    fn fraction(&self) -> f64 {
        SystemClock.fraction()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(duration)
    }
}

impl Leadership for Told {
    fn lasts(&self, _: Duration) -> bool {
        !self.is_led_by_another.load(Ordering::SeqCst)
    }
}

/// Sends to a server that is slow to shake hands, and lets something happen before it does.
async fn send_while(happens: impl FnOnce(&Told)) -> (Sent, Vec<String>) {
    let (told, go_on) = (Arc::<Told>::default(), Arc::<Notify>::default());
    let server = Server::tls(&Identity::new(), [Reply::Dawdle(Arc::clone(&go_on)), started()]).await;
    let client = server.client(&Trust::Anyone);
    let departure = Departure::within(told.clone(), told.clone(), Duration::from_secs(5));
    let sending = async { client.send(&call(Method::Post), &BTreeMap::new(), &departure).await };
    let happening = async {
        while server.connections() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        happens(&told);
        go_on.notify_one();
    };
    let (sent, ()) = tokio::join!(sending, happening);
    (sent, server.requests())
}

#[tokio::test]
async fn a_change_leaves_over_a_connection_that_came_about_slowly() {
    let (sent, requests) = send_while(|told| told.passed.store(4, Ordering::SeqCst)).await;
    assert!(matches!(sent, Sent::Task(_)), "{sent:?}");
    assert_eq!(requests.len(), 1);
}

#[tokio::test]
async fn a_change_whose_time_has_passed_while_it_was_connected_does_not_leave() {
    let (sent, requests) = send_while(|told| told.passed.store(5, Ordering::SeqCst)).await;
    assert!(matches!(&sent, Sent::NotSent { why } if why.contains("time to leave has passed")), "{sent:?}");
    assert_eq!(requests, Vec::<String>::new());
}

#[tokio::test]
async fn a_replica_that_lost_the_lead_while_it_connected_sends_nothing() {
    let (sent, requests) = send_while(|told| told.is_led_by_another.store(true, Ordering::SeqCst)).await;
    assert!(matches!(&sent, Sent::NotSent { why } if why.contains("may not lead")), "{sent:?}");
    assert_eq!(requests, Vec::<String>::new());
}

#[tokio::test]
async fn a_change_that_may_not_leave_any_more_does_not_even_knock() {
    let server = Server::plain([started()]).await;
    let late = Departure::within(Arc::new(SystemClock), Arc::new(Alone), Duration::ZERO);
    let sent = server.client(&Trust::Anyone).send(&call(Method::Post), &BTreeMap::new(), &late).await;
    assert!(matches!(sent, Sent::NotSent { .. }), "{sent:?}");
    assert_eq!(server.connections(), 0);
}
