//! Logs, and the signal to stop.

use std::io::IsTerminal;

use futures::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::controllers::Shutdown;

/// Logs to standard error; `RUST_LOG` chooses how much.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube=warn"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        // A line that can't be written, on a full disk, is lost; it would end the task that wrote it.
        .log_internal_errors(false)
        .init();
}

/// Resolves at the first SIGTERM or SIGINT.
pub fn shutdown() -> Shutdown {
    let asked = async {
        let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            tracing::error!("signals can't be listened to: only SIGKILL ends this process");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("asked to stop: what has begun is finished first");
    };
    asked.boxed().shared()
}
