//! The way to the API server and back: what is lost on it, what comes late, and what comes twice.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use kube::client::Body;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::{
    api::{Answer, Asked, Objects, Refused, Watch, line},
    dice::Dice,
    history::History,
    weather::Weather,
};

/// No answer came.
#[derive(Debug, thiserror::Error)]
#[error("the connection broke")]
pub(crate) struct Broken;

/// A connection that has lost something lasts this much longer, whatever else comes by it.
const UNNOTICED: Duration = Duration::from_secs(20);

/// So long the program's client waits for a word from a server that has fallen silent.
const SILENCE: Duration = Duration::from_secs(120);

type Streamed = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// The API server, and what lies between it and everybody else.
#[derive(Debug)]
pub(crate) struct Network {
    objects: Mutex<Objects>,
    /// Told of each change, and when all watches are to end. No `watch`: that throws dice of its own.
    told: Notify,
    dice: Dice,
    weather: Arc<Weather>,
    pub(crate) history: History,
    /// Until when somebody gets no answer; everybody if it is the server itself.
    silent: Mutex<BTreeMap<String, Duration>>,
    reads: Mutex<Vec<ApprovalsRead>>,
    writings: Mutex<Vec<String>>,
    forbidden: Mutex<Vec<String>>,
}

/// Somebody has read the approvals of a plan.
#[derive(Clone, Debug)]
pub(crate) struct ApprovalsRead {
    pub(crate) by: String,
    pub(crate) selector: String,
    pub(crate) at: Duration,
    /// What was there then.
    pub(crate) version: u64,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    /// It never arrives.
    Lost,
    /// It is carried out, and the answer never comes.
    AnswerLost,
    /// It is carried out when nobody waits for the answer any more.
    Late,
    /// The server says so, and has done nothing.
    Refused(u16),
    /// The server says so, and has done it.
    DoneAndFailed(u16),
}

/// What becomes of a change that a watch should tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    Ends,
    LosesTrack,
    Lags,
    Hides,
    Repeats,
}

/// The name of the server in the list of those who get no answer.
const SERVER: &str = "server";

impl Network {
    pub(crate) fn new(dice: Dice, weather: Arc<Weather>, history: History) -> Arc<Self> {
        Arc::new(Self {
            objects: Mutex::default(),
            told: Notify::new(),
            dice,
            weather,
            history,
            silent: Mutex::default(),
            reads: Mutex::default(),
            writings: Mutex::default(),
            forbidden: Mutex::default(),
        })
    }

    pub(crate) fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap()
    }

    /// Something was written past the network.
    pub(crate) fn tell(&self) {
        self.told.notify_waiters();
    }

    pub(crate) fn approvals_read(&self) -> Vec<ApprovalsRead> {
        self.reads.lock().unwrap().clone()
    }

    /// Everything that was ever sent to be written.
    pub(crate) fn writings(&self) -> Vec<String> {
        self.writings.lock().unwrap().clone()
    }

    /// What the rules of the definitions do not allow.
    pub(crate) fn forbidden(&self) -> Vec<String> {
        self.forbidden.lock().unwrap().clone()
    }

    /// The server is away for a while: requests come to nothing, and watches end.
    pub(crate) fn restart_server(&self, pause: Duration) {
        self.history.fault("API server restarts");
        self.history.note(SERVER, format!("is away for {pause:?}"));
        self.silence(SERVER, pause);
        self.tell();
    }

    /// One of those who ask is cut off.
    pub(crate) fn cut_off(&self, who: &str, pause: Duration) {
        self.history.fault("replica cut off from the API");
        self.history.note(who, format!("is cut off for {pause:?}"));
        self.silence(who, pause);
        self.tell();
    }

    /// Nobody is cut off any more.
    pub(crate) fn connect_all(&self) {
        self.silent.lock().unwrap().clear();
    }

    fn silence(&self, who: &str, pause: Duration) {
        self.silent.lock().unwrap().insert(who.to_owned(), self.history.elapsed() + pause);
    }

    fn is_silent(&self, who: &str) -> bool {
        let silent = self.silent.lock().unwrap();
        [SERVER, who]
            .iter()
            .any(|name| silent.get(*name).is_some_and(|until| self.history.elapsed() < *until))
    }

    /// A client whose every request goes this way.
    pub(crate) fn client(self: &Arc<Self>, who: &str) -> kube::Client {
        let (network, who) = (Arc::clone(self), who.to_owned());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (network, who) = (Arc::clone(&network), who.clone());
            async move { network.carry(who, request).await }
        });
        kube::Client::new(service, "default")
    }

    async fn carry(
        self: Arc<Self>,
        who: String,
        request: Request<Body>,
    ) -> Result<Response<Streamed>, Broken> {
        let asked = Asked::read(request).await;
        if self.is_silent(&who) {
            tokio::time::sleep(self.dice.millis(1..3000)).await;
            return Err(Broken);
        }
        if asked.is_watch() {
            return Ok(self.watch(who, &asked));
        }
        let fate = self.fate(&asked);
        let (tell, told) = oneshot::channel();
        // What has left arrives, whatever becomes of whoever sent it.
        tokio::spawn(self.travel(who, asked, fate, tell));
        told.await.map_err(|_| Broken).map(|answer| response(&answer))
    }

    fn fate(&self, asked: &Asked) -> Fate {
        if !self.weather.strikes(&self.dice, self.weather.api) {
            return Fate::Fine;
        }
        let fate = *self.dice.one_of(&[
            Fate::Lost,
            Fate::AnswerLost,
            Fate::AnswerLost,
            Fate::Late,
            Fate::Refused(409),
            Fate::Refused(429),
            Fate::Refused(500),
            Fate::Refused(504),
            Fate::DoneAndFailed(500),
            Fate::DoneAndFailed(504),
        ]);
        self.history.fault(match (fate, asked.is_write()) {
            (Fate::Fine, _) => "none",
            (Fate::Lost, _) => "API request lost",
            (Fate::AnswerLost, true) => "API write's answer lost",
            (Fate::AnswerLost, false) => "API read's answer lost",
            (Fate::Late, true) => "API write late",
            (Fate::Late, false) => "API read late",
            (Fate::Refused(_), _) => "API error, not done",
            (Fate::DoneAndFailed(_), _) => "API error, done all the same",
        });
        fate
    }

    async fn travel(
        self: Arc<Self>,
        who: String,
        asked: Asked,
        fate: Fate,
        mut tell: oneshot::Sender<Answer>,
    ) {
        let there = if fate == Fate::Late { 5_000..28_000 } else { 1..12 };
        tokio::time::sleep(self.dice.millis(there)).await;
        let answer = match fate {
            Fate::Lost => return self.keep_waiting(&mut tell).await,
            Fate::Refused(code) => Refused::new(code, "Unavailable", "a fault of the simulation").into(),
            _ => self.apply(&who, &asked, fate),
        };
        tokio::time::sleep(self.dice.millis(1..12)).await;
        let answer = match fate {
            Fate::AnswerLost => return self.keep_waiting(&mut tell).await,
            Fate::DoneAndFailed(code) => Refused::new(code, "Timeout", "a fault of the simulation").into(),
            _ => answer,
        };
        let _ = tell.send(answer);
    }

    /// Some connections break, others fall silent until they are given up.
    async fn keep_waiting(&self, tell: &mut oneshot::Sender<Answer>) {
        if self.dice.permille(500) {
            let _ = tokio::time::timeout(SILENCE, tell.closed()).await;
        }
    }

    fn apply(&self, who: &str, asked: &Asked, fate: Fate) -> Answer {
        let mut objects = self.objects();
        let answer = asked.apply(&mut objects, self.history.elapsed());
        let version = objects.version();
        drop(objects);
        if asked.is_write() {
            let told =
                if answer.code == 200 { String::new() } else { String::from_utf8_lossy(&answer.body).into() };
            let line = format!("{} -> {} {fate:?} {told}", asked.in_words(), answer.code);
            if answer.code == 422 {
                self.forbidden.lock().unwrap().push(line.clone());
            }
            self.history.note(who, line);
            self.tell();
        }
        if asked.is_write() || asked.is_event() {
            self.writings.lock().unwrap().push(asked.written());
        } else if asked.plural() == "proxmoxactionapprovals" && !asked.selector().is_empty() {
            let selector = asked.selector().to_owned();
            let at = self.history.elapsed();
            self.reads.lock().unwrap().push(ApprovalsRead { by: who.to_owned(), selector, at, version });
        }
        answer
    }

    fn watch(self: Arc<Self>, who: String, asked: &Asked) -> Response<Streamed> {
        let (lines, told) = mpsc::unbounded_channel();
        let patience = asked.query("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(290);
        let watch = Watch::of(asked);
        tokio::spawn(async move {
            let all = self.tell_changes(&who, watch, &lines);
            let _ = tokio::time::timeout(Duration::from_secs(patience), all).await;
        });
        let told = stream::unfold(told, |mut told| async { told.recv().await.map(|line| (line, told)) });
        streamed(200, told.map(|line: Vec<u8>| Ok(Frame::data(line.into()))).boxed())
    }

    /// Until nobody listens, or the connection ends. Whoever was not told something has to find out that it was not.
    async fn tell_changes(&self, who: &str, mut watch: Watch, lines: &mpsc::UnboundedSender<Vec<u8>>) {
        let mut hidden_at = None;
        while !lines.is_closed() && !self.is_silent(who) {
            let news = self.told.notified();
            let change = watch.next(&self.objects());
            let Some(change) = change else {
                let _ = tokio::time::timeout(UNNOTICED, news).await;
                if hidden_at.is_some_and(|at| self.history.elapsed() >= at + UNNOTICED) {
                    break;
                }
                continue;
            };
            tokio::time::sleep(self.dice.millis(1..25)).await;
            match self.trouble() {
                Trouble::None => {}
                Trouble::Ends => break,
                Trouble::LosesTrack => return self.lose_track(&watch, lines),
                Trouble::Lags => tokio::time::sleep(self.dice.millis(1_000..20_000)).await,
                Trouble::Hides => {
                    hidden_at.get_or_insert(self.history.elapsed());
                    continue;
                }
                Trouble::Repeats => {
                    let before = watch.earlier(&self.objects()).unwrap_or_else(|| change.clone());
                    let _ = lines.send(line(&before));
                }
            }
            let _ = lines.send(line(&change));
        }
        if hidden_at.is_some() {
            self.lose_track(&watch, lines);
        }
    }

    fn trouble(&self) -> Trouble {
        if !self.weather.strikes(&self.dice, self.weather.watch) {
            return Trouble::None;
        }
        let (trouble, kind) = *self.dice.one_of(&[
            (Trouble::Ends, "watch ends"),
            (Trouble::LosesTrack, "watch loses track"),
            (Trouble::Lags, "watch lags"),
            (Trouble::Hides, "watch event dropped"),
            (Trouble::Repeats, "watch event twice or stale"),
        ]);
        self.history.fault(kind);
        trouble
    }

    /// The version is too old: whoever watches has to list anew.
    fn lose_track(&self, watch: &Watch, lines: &mpsc::UnboundedSender<Vec<u8>>) {
        let gone =
            Answer::from(Refused::new(410, "Expired", format!("too old a version of {}", watch.plural())));
        let status: serde_json::Value = serde_json::from_slice(&gone.body).unwrap();
        let told = serde_json::json!({"type": "ERROR", "object": status});
        let _ = lines.send(format!("{told}\n").into_bytes());
    }
}

fn response(answer: &Answer) -> Response<Streamed> {
    let body = Bytes::from(answer.body.clone());
    streamed(answer.code, stream::iter([Ok(Frame::data(body))]).boxed())
}

fn streamed(code: u16, body: BoxStream<'static, Result<Frame<Bytes>, Infallible>>) -> Response<Streamed> {
    let mut response = Response::new(StreamBody::new(body));
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap();
    response
}
