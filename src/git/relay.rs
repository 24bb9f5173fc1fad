//! A small server on the loopback that lives for one fetch: libgit2 speaks plain HTTP to it, it speaks TLS to the
//! repository's server. It passes on what a fetch needs and nothing else, so nothing can be written by way of it, and it
//! alone knows the password.

use std::{
    convert::Infallible,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited, combinators::BoxBody};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};
use uuid::Uuid;

use super::upstream::{Question, Upstream};

/// What we have and want: a line for each commit.
const LARGEST_QUESTION: usize = 16 << 20;
/// A repository of plans and manifests is far smaller.
const LARGEST_ANSWER: usize = 1 << 30;

type Failure = Box<dyn Error + Send + Sync>;
type Body = BoxBody<Bytes, Failure>;

pub(super) struct Relay {
    url: String,
    trouble: Arc<Mutex<Option<String>>>,
    serving: JoinHandle<()>,
}

impl Relay {
    pub(super) async fn start(upstream: Upstream) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        // Nobody else on this machine can guess it.
        let word = Uuid::new_v4().simple().to_string();
        let url = format!("http://{}/{word}", listener.local_addr()?);
        let trouble = Arc::default();
        let desk = Arc::new(Desk { upstream, word, trouble: Arc::clone(&trouble) });
        Ok(Self { url, trouble, serving: tokio::spawn(serve(listener, desk)) })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What went wrong between us and the server.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Desk {
    upstream: Upstream,
    word: String,
    trouble: Arc<Mutex<Option<String>>>,
}

async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let desk = Arc::clone(&desk);
        connections.spawn(async move {
            let answer = |request| {
                let desk = Arc::clone(&desk);
                async move { Ok::<_, Infallible>(desk.answer(request).await) }
            };
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
            if let Err(error) = served.await {
                tracing::debug!(%error, "a connection of a fetch ended early");
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let question = match self.question(request).await {
            Ok(Some(question)) => question,
            Ok(None) => return plain(StatusCode::NOT_FOUND),
            Err(why) => return self.failed(why),
        };
        match self.upstream.ask(question).await {
            Ok(answer) => self.pass_on(answer),
            Err(why) => self.failed(why),
        }
    }

    /// What is asked for, if it is one of the two things that a fetch asks for.
    async fn question(&self, request: Request<Incoming>) -> Result<Option<Question>, String> {
        let below = request.uri().path().strip_prefix(&format!("/{}/", self.word)).map(str::to_owned);
        match (request.method(), below.as_deref(), request.uri().query()) {
            (&Method::GET, Some("info/refs"), Some("service=git-upload-pack")) => {
                Ok(Some(Question::Branches))
            }
            (&Method::POST, Some("git-upload-pack"), None) => {
                let body = Limited::new(request.into_body(), LARGEST_QUESTION).collect().await;
                let body = body.map_err(|error| format!("what is asked for is too much: {error}"))?;
                Ok(Some(Question::Pack(body.to_bytes())))
            }
            _ => Ok(None),
        }
    }

    fn pass_on(&self, answer: reqwest::Response) -> Response<Body> {
        let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
        let trouble = Arc::clone(&self.trouble);
        let body = Limited::new(reqwest::Body::from(answer), LARGEST_ANSWER).map_err(move |error| {
            note(&trouble, format!("the server's answer broke off: {error}"));
            error
        });
        let mut passed = Response::new(body.boxed());
        if let Some(kind) = kind {
            passed.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        passed
    }

    fn failed(&self, why: String) -> Response<Body> {
        note(&self.trouble, why);
        plain(StatusCode::BAD_GATEWAY)
    }
}

fn note(trouble: &Mutex<Option<String>>, why: String) {
    trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::new()).map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    /// The status with which a request is answered.
    async fn asked(relay: &Relay, method: &str, path: &str) -> String {
        let address = relay.url().trim_start_matches("http://").split('/').next().unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    }

    /// Before a server that nobody reaches: what is passed on fails, what is refused is not even tried.
    #[tokio::test]
    async fn nothing_is_passed_on_but_what_a_fetch_asks_for() {
        let upstream = Upstream::new("http://127.0.0.1:1/r".parse().unwrap(), None, None).unwrap();
        let relay = Relay::start(upstream).await.unwrap();
        let word = relay.url().rsplit('/').next().unwrap();
        for (method, path) in [
            ("GET", format!("/{word}/info/refs?service=git-receive-pack")),
            ("GET", format!("/{word}/info/refs")),
            ("POST", format!("/{word}/git-receive-pack")),
            ("PUT", format!("/{word}/git-upload-pack")),
            ("POST", format!("/{word}/git-upload-pack?x")),
            ("GET", format!("/{word}/HEAD")),
            ("GET", "/info/refs?service=git-upload-pack".to_owned()),
            ("POST", format!("/{word}x/git-upload-pack")),
        ] {
            assert_eq!(asked(&relay, method, &path).await, "404", "{method} {path}");
        }
        assert_eq!(relay.trouble(), None);
        assert_eq!(asked(&relay, "GET", &format!("/{word}/info/refs?service=git-upload-pack")).await, "502");
        assert!(relay.trouble().is_some());
    }
}
