//! Which tasks run: asked once for each node, for everybody who wants to know at that moment.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::core::task::{TaskState, Upid};

use super::{ReadError, client::Client, tasks};

/// The running tasks of each node, as they were last listed.
#[derive(Default)]
pub(super) struct RunningTasks {
    nodes: Mutex<HashMap<String, Arc<Node>>>,
}

/// Locked while it is asked, so that those who come meanwhile wait for its answer.
type Node = tokio::sync::Mutex<Option<Listed>>;

struct Listed {
    /// The answer may be as old as its question.
    asked_at: Instant,
    upids: Result<Arc<HashSet<String>>, ReadError>,
}

impl RunningTasks {
    /// What a task is doing now, or was doing at most `tolerance` ago. That it has ended is only taken from its own mouth.
    pub(super) async fn state_of(
        &self,
        client: &Client,
        upid: &Upid,
        tolerance: Duration,
    ) -> Result<TaskState, ReadError> {
        match self.on(client, &upid.node, tolerance).await {
            Ok(running) if running.contains(upid.as_str()) => Ok(TaskState::Running),
            Err(error @ (ReadError::Unreachable { .. } | ReadError::EndpointsDisagree { .. })) => Err(error),
            Ok(_) | Err(_) => tasks::task_state(client, upid).await,
        }
    }

    async fn on(
        &self,
        client: &Client,
        node: &str,
        tolerance: Duration,
    ) -> Result<Arc<HashSet<String>>, ReadError> {
        let wanted_at = Instant::now();
        let place = Arc::clone(self.nodes().entry(node.to_owned()).or_default());
        let mut last = place.lock().await;
        if let Some(listed) = last.as_ref().filter(|listed| listed.asked_at + tolerance >= wanted_at) {
            return listed.upids.clone();
        }
        let asked_at = Instant::now();
        let upids = tasks::running_on(client, node).await.map(Arc::new);
        *last = Some(Listed { asked_at, upids: upids.clone() });
        upids
    }

    fn nodes(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Node>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RunningTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningTasks").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;
    use crate::pve::{
        Trust,
        testing::{Reply, Server},
    };

    const LONG: Duration = Duration::from_secs(3600);

    fn upid(number: u32) -> Upid {
        format!("UPID:pve1:{number:08X}:00062D39:6B00EAFE:qmstart:101:agent@pve!plans:").parse().unwrap()
    }

    fn list(running: impl Iterator<Item = u32>) -> Reply {
        let rows: Vec<_> = running
            .map(|number| serde_json::json!({ "upid": upid(number).as_str(), "status": "RUNNING" }))
            .collect();
        Reply::ok(&serde_json::json!({ "data": rows }).to_string())
    }

    fn stopped() -> Reply {
        Reply::ok(r#"{"data":{"status":"stopped","exitstatus":"OK"}}"#)
    }

    #[tokio::test]
    async fn everybody_who_asks_at_the_same_moment_gets_the_same_answer() {
        let server = Server::plain([list(0..50)]).await;
        let (client, running) = (server.client(&Trust::Anyone), RunningTasks::default());
        let all = (0..50).map(|number| {
            let (client, running) = (&client, &running);
            async move { running.state_of(client, &upid(number), LONG).await }
        });
        for state in join_all(all).await {
            assert_eq!(state.unwrap(), TaskState::Running);
        }
        assert_eq!(server.requests().len(), 1);
    }

    #[tokio::test]
    async fn an_answer_that_is_older_than_the_question_allows_is_not_used() {
        let server = Server::plain([list(0..1), list(0..0), stopped()]).await;
        let (client, running) = (server.client(&Trust::Anyone), RunningTasks::default());
        assert_eq!(running.state_of(&client, &upid(0), LONG).await.unwrap(), TaskState::Running);
        let now = running.state_of(&client, &upid(0), Duration::ZERO).await.unwrap();
        assert_eq!(now, TaskState::Stopped { exit_status: "OK".to_owned() });
    }

    #[tokio::test]
    async fn a_task_that_is_not_listed_is_asked_for_itself() {
        let server =
            Server::plain([list(0..0), Reply::ok(r#"{"data":{"status":"running"}}"#), stopped()]).await;
        let (client, running) = (server.client(&Trust::Anyone), RunningTasks::default());
        assert_eq!(running.state_of(&client, &upid(7), LONG).await.unwrap(), TaskState::Running);
        assert!(matches!(
            running.state_of(&client, &upid(7), LONG).await.unwrap(),
            TaskState::Stopped { .. }
        ));
        assert_eq!(server.requests().len(), 3);
    }

    #[tokio::test]
    async fn a_node_that_does_not_answer_is_asked_once_for_everybody() {
        let server = Server::plain([Reply::json(595, "No route to host", "")]).await;
        let (client, running) = (server.client(&Trust::Anyone), RunningTasks::default());
        let all = (0..50).map(|number| {
            let (client, running) = (&client, &running);
            async move { running.state_of(client, &upid(number), LONG).await }
        });
        assert!(join_all(all).await.iter().all(Result::is_err));
        assert_eq!(server.requests().len(), 1);
    }
}
