//! Leads while it may, stands by while it may not.

use std::time::Duration;

use futures::{
    FutureExt,
    future::{self, Either},
};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    controllers::{self, Shutdown},
    ports::{Hypervisors, Ports, Store},
    store::kube::{Candidate, Lost},
};

use super::Failure;

/// How long a replica that can keep no record leaves the lead to the others.
const UNFIT: Duration = Duration::from_secs(30);

/// Runs until `shutdown`. Whoever loses the lead stands for election again rather than ending: all that a term knew goes
/// with its controllers, and a process that ends whenever the API server is away for a moment is started ever later.
pub(super) async fn lead_in_turns<S: Store, H: Hypervisors>(
    ports: Ports<S, H>,
    mut candidate: Candidate,
    shutdown: Shutdown,
) -> Result<(), Failure> {
    loop {
        let elected = Box::pin(candidate.elected());
        if let Either::Right(_) = future::select(elected, shutdown.clone()).await {
            return Ok(());
        }
        tracing::info!("this replica leads");
        let reign = Reign::begin(candidate);
        let is_over = reign.is_over.clone();
        let asked_to_stop = future::select(shutdown.clone(), is_over).map(drop).boxed().shared();
        let kept = act(&ports, asked_to_stop).await;
        // Only now: the next one may take it that all that was begun here is finished.
        let (old, lost) = reign.end().await?;
        match (kept, lost) {
            (_, Some(Lost::TakenByNamesake)) => return Err(namesake(&old)),
            (_, Some(lost)) => tracing::warn!(why = %lost, "this replica leads no more"),
            (Err(error), None) => {
                tracing::error!(%error, "this replica can keep no record, so it has handed over the lead");
                future::select(ports.clock.sleep(ports.clock.about(UNFIT)), shutdown.clone()).await;
            }
            (Ok(()), None) => return Ok(()),
        }
        candidate = old;
    }
}

/// Links this replica's audit log to those of the others, then runs. Without a record nothing is done.
async fn act<S: Store, H: Hypervisors>(ports: &Ports<S, H>, until: Shutdown) -> std::io::Result<()> {
    let linked = Box::pin(controllers::took_over(ports));
    match future::select(linked, until.clone()).await {
        Either::Left((linked, _)) => linked?,
        Either::Right(_) => return Ok(()),
    }
    controllers::run(ports.clone(), until).await;
    Ok(())
}

fn namesake(candidate: &Candidate) -> Failure {
    let name = candidate.replica();
    format!(
        "another process calls itself {name} as well and has taken the lease: give each --replica of its own"
    )
    .into()
}

/// Keeps the lead beside everything else that the process does.
struct Reign {
    /// Resolves when the lead is lost.
    is_over: Shutdown,
    resign: oneshot::Sender<()>,
    keeping: JoinHandle<(Candidate, Option<Lost>)>,
}

impl Reign {
    fn begin(mut candidate: Candidate) -> Self {
        let (resign, resigned) = oneshot::channel::<()>();
        let (lasting, is_over) = oneshot::channel::<()>();
        let keeping = tokio::spawn(async move {
            let kept = Box::pin(candidate.keep());
            let lost = match future::select(kept, resigned).await {
                Either::Left((lost, _)) => Some(lost),
                Either::Right(_) => None,
            };
            drop(lasting);
            if lost.is_none() {
                candidate.hand_over().await;
            }
            (candidate, lost)
        });
        Self { is_over: is_over.map(drop).boxed().shared(), resign, keeping }
    }

    /// Hands the lead over, unless it is lost already, and says how it was lost.
    async fn end(self) -> Result<(Candidate, Option<Lost>), Failure> {
        // Whoever has lost it does not listen any more.
        let _ = self.resign.send(());
        Ok(self.keeping.await?)
    }
}
