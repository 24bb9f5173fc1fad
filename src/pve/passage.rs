//! The connection of one change: made for it alone, passed once, and never used again.

use std::{error::Error, io, sync::Arc, time::Duration};

use futures::{
    future::{self, Either},
    pin_mut,
};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

use crate::ports::Departure;

use super::{
    doorway::{Doorway, Left},
    wire::{MAX_BODY, Patience},
};

/// How changes get out.
#[derive(Clone)]
pub(super) struct Passage {
    tls: TlsConnector,
    patience: Patience,
}

/// What came back of a change, as far as it could be read.
pub(super) struct Came {
    pub(super) head: Response<()>,
    /// Or why it could not be read to its end.
    pub(super) body: Result<Vec<u8>, String>,
}

/// Nothing came back, or nothing went out.
pub(super) struct NothingCame {
    /// Not a byte of it was written.
    pub(super) never_sent: bool,
    pub(super) why: String,
}

impl Passage {
    pub(super) fn new(mut tls: ClientConfig, patience: Patience) -> Self {
        // HTTP/2 would repeat a request that its server refused.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { tls: Arc::new(tls).into(), patience }
    }

    /// Lets a request out once, if it may still leave when its first byte is written.
    pub(super) async fn pass(
        &self,
        url: &Url,
        request: Request<Full<Bytes>>,
        departure: &Departure,
    ) -> Result<Came, NothingCame> {
        let never = |why| NothingCame { never_sent: true, why };
        let left = departure.left().map_err(|why| never(why.to_owned()))?;
        let began = Instant::now();
        let connected = timeout_at(began + self.patience.connect.min(left), self.connect(url)).await;
        let connection = match connected {
            Ok(connection) => connection.map_err(|error| never(told(&error)))?,
            Err(_) => return Err(never("timed out while connecting".to_owned())),
        };
        let has_left = Left::default();
        let doorway = Doorway::before(connection, departure.clone(), has_left.clone());
        let exchanged = timeout_at(began + self.patience.request, exchange(doorway, request)).await;
        let why = match exchanged {
            Ok(Ok(came)) => return Ok(came),
            Ok(Err(error)) => told(&error),
            Err(_) => format!("timed out after {:?}", self.patience.request),
        };
        Err(NothingCame { never_sent: !has_left.yet(), why })
    }

    async fn connect(&self, url: &Url) -> io::Result<Box<dyn Connection>> {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(io::Error::other("the address has no host or no port"));
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = dial(host, port, self.patience.connect).await?;
        stream.set_nodelay(true)?;
        never_deliver_late(&stream, self.patience.request)?;
        if url.scheme() == "http" {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(Box::new(self.tls.connect(name, stream).await?))
    }
}

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Tries every address of a host. None may use up the time of the others: a name often has one that leads nowhere.
async fn dial(host: &str, port: u16, within: Duration) -> io::Result<TcpStream> {
    let until = Instant::now() + within;
    let addresses: Vec<_> = lookup_host((host, port)).await?.collect();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = until.saturating_duration_since(Instant::now()) / others;
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::Error::new(io::ErrorKind::TimedOut, format!("{address} timed out")),
        }
    }
    Err(failed)
}

/// A kernel goes on delivering what it was given, even for a process that stands still or is gone. What has not arrived
/// within this time, or when the connection is given up, is not to arrive any more: whoever settles the outcome relies on it.
fn never_deliver_late(stream: &TcpStream, within: Duration) -> io::Result<()> {
    stream.set_zero_linger()?;
    #[cfg(target_os = "linux")]
    {
        let milliseconds = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds)?;
    }
    Ok(())
}

/// One request and its answer. The connection is worked on only as long as somebody waits for them.
async fn exchange<T: AsyncRead + AsyncWrite + Unpin>(
    doorway: Doorway<T>,
    request: Request<Full<Bytes>>,
) -> hyper::Result<Came> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(doorway)).await?;
    let asked = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok(Came { head: Response::from_parts(head, ()), body: whole(body).await })
    };
    pin_mut!(asked, connection);
    match future::select(asked, connection).await {
        Either::Left((came, _)) => came,
        // What the connection has brought before its end is still to be read.
        Either::Right((_, asked)) => asked.await,
    }
}

async fn whole(mut incoming: Incoming) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| told(&error))?;
        let chunk = frame.into_data().unwrap_or_default();
        if body.len() + chunk.len() > MAX_BODY {
            return Err(format!("the body is longer than {MAX_BODY} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An error with its causes, which alone tell what happened.
fn told(error: &dyn Error) -> String {
    let mut text = without_manual(&error.to_string()).to_owned();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        let part = without_manual(&part);
        if !text.contains(part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}

/// The TLS library says where its programmers can read more, which nobody who runs this can use.
pub(super) fn without_manual(text: &str) -> &str {
    text.split(": https://docs.rs/").next().unwrap_or(text)
}
