//! `/livez` and `/readyz`, for whoever keeps the process running: plain text that says what is wrong.
//!
//! A replica that only stands by is ready: it would take over at once.

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};

use crate::ports::AuditLog;

/// Nobody who asks for anything takes longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many may ask at the same time; the others wait.
const ASKING: usize = 32;
/// An API server that restarts is back by then.
const LONG_SILENCE: Duration = Duration::from_secs(60);

/// What a process needs to be of use.
pub struct Health {
    audit: Arc<dyn AuditLog>,
    /// How long the API server has not answered.
    silence: Box<dyn Fn() -> Duration + Send + Sync>,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("audit", &self.audit).finish_non_exhaustive()
    }
}

impl Health {
    pub fn of(audit: Arc<dyn AuditLog>, silence: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { audit, silence: Box::new(silence) }
    }

    /// Everything that keeps the process from its work, a line each.
    async fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if let Err(error) = self.audit.ready().await {
            complaints.push(format!("audit log: {error}; nothing is sent until it can be written"));
        }
        let silence = (self.silence)();
        if silence >= LONG_SILENCE {
            let seconds = silence.as_secs();
            complaints.push(format!("API server: the lease could not be read or written for {seconds} s"));
        }
        complaints
    }

    async fn answer(&self, path: &str) -> (StatusCode, String) {
        match path {
            "/livez" => (StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => match self.complaints().await {
                complaints if complaints.is_empty() => (StatusCode::OK, "ok\n".to_owned()),
                complaints => (StatusCode::SERVICE_UNAVAILABLE, complaints.join("\n") + "\n"),
            },
            _ => (StatusCode::NOT_FOUND, "ask for /livez or /readyz\n".to_owned()),
        }
    }
}

/// Answers whoever asks, as long as it is polled.
pub async fn serve(listener: TcpListener, health: Health) {
    let (health, doors) = (Arc::new(health), Arc::new(Semaphore::new(ASKING)));
    loop {
        let Ok(door) = Arc::clone(&doors).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let health = Arc::clone(&health);
                tokio::spawn(async move {
                    let _ = timeout(PATIENCE, attend(stream, &health)).await;
                    drop(door);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "nobody could ask for the health of this process");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// One question a connection.
async fn attend(stream: TcpStream, health: &Health) -> hyper::Result<()> {
    let service = service_fn(async |request: Request<Incoming>| {
        let (status, text) = health.answer(request.uri().path()).await;
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        Ok::<_, Infallible>(response)
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).keep_alive(false);
    server.serve_connection(TokioIo::new(stream), service).await
}

#[cfg(test)]
mod tests {
    use std::{io, net::SocketAddr, sync::Mutex};

    use futures::{FutureExt, future::BoxFuture};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use crate::core::audit::{AuditRecord, Head};

    use super::*;

    /// An audit log whose disk is full, or not.
    #[derive(Debug, Default)]
    struct Disk {
        is_full: Mutex<bool>,
    }

    impl AuditLog for Disk {
        fn append(&self, _: AuditRecord) -> BoxFuture<'_, io::Result<()>> {
            async { Ok(()) }.boxed()
        }
        fn ready(&self) -> BoxFuture<'_, io::Result<()>> {
            let full = || io::Error::new(io::ErrorKind::StorageFull, "no space left");
            let is_full = *self.is_full.lock().unwrap();
            async move { if is_full { Err(full()) } else { Ok(()) } }.boxed()
        }
        fn head(&self) -> Head {
            Head { chain: "disk".into(), sequence: 0, hash: String::new() }
        }
    }

    async fn serving(disk: &Arc<Disk>, silence: &Arc<Mutex<Duration>>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let silence = Arc::clone(silence);
        tokio::spawn(serve(listener, Health::of(disk.clone(), move || *silence.lock().unwrap())));
        address
    }

    async fn ask(address: SocketAddr, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    #[tokio::test]
    async fn readiness_names_everything_that_is_wrong_and_life_goes_on() {
        let (disk, silence) = (Arc::<Disk>::default(), Arc::<Mutex<Duration>>::default());
        let address = serving(&disk, &silence).await;
        assert_eq!(ask(address, "/readyz").await, (200, "ok\n".to_owned()));
        *disk.is_full.lock().unwrap() = true;
        *silence.lock().unwrap() = Duration::from_secs(59);
        let told = "audit log: no space left; nothing is sent until it can be written\n";
        assert_eq!(ask(address, "/readyz").await, (503, told.to_owned()));
        *silence.lock().unwrap() = Duration::from_secs(75);
        let more = format!("{told}API server: the lease could not be read or written for 75 s\n");
        assert_eq!(ask(address, "/readyz").await, (503, more));
        assert_eq!(ask(address, "/livez").await, (200, "ok\n".to_owned()));
        *disk.is_full.lock().unwrap() = false;
        *silence.lock().unwrap() = Duration::ZERO;
        assert_eq!(ask(address, "/readyz").await, (200, "ok\n".to_owned()));
        assert_eq!(ask(address, "/").await.0, 404);
    }

    #[tokio::test]
    async fn those_who_connect_and_say_nothing_keep_nobody_else_from_asking() {
        let address = serving(&Arc::default(), &Arc::default()).await;
        let mut silent = Vec::new();
        for _ in 1..ASKING {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        assert_eq!(ask(address, "/livez").await.0, 200);
    }
}
