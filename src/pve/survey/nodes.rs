use serde::Deserialize;

use crate::{
    core::observe::{Node, Nodes, Rights, Seen},
    pve::{ReadError, lenient},
};

use super::{
    lookout::Lookout,
    sight::{Sight, hidden, whole},
};

/// A node as everybody sees it; numbers are for its auditors.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Row {
    pub node: String,
    #[serde(default)]
    pub status: String,
    mem: Option<u64>,
    maxmem: Option<u64>,
}

impl Row {
    pub fn is_online(&self) -> bool {
        self.status == "online"
    }
}

#[derive(Deserialize)]
struct Member {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    ip: Option<String>,
    #[serde(default, deserialize_with = "lenient::flag")]
    online: bool,
    #[serde(default, deserialize_with = "lenient::flag")]
    quorate: bool,
}

#[derive(Deserialize)]
struct Vote {
    node: String,
    #[serde(deserialize_with = "lenient::number")]
    quorum_votes: i64,
}

pub(super) async fn rows(lookout: &Lookout<'_>) -> Result<Vec<Row>, ReadError> {
    lookout.get("/nodes", &[]).await
}

pub(super) async fn nodes(lookout: &Lookout<'_>, rights: &Rights) -> Result<Seen<Nodes>, ReadError> {
    const WHAT: &str = "the nodes and their quorum";
    if let Some(why) = hidden(WHAT, rights, &[Sight::at(&["Sys.Audit"], "/")]) {
        return Ok(Seen::Unknown { why });
    }
    whole(WHAT, read(lookout).await)
}

async fn read(lookout: &Lookout<'_>) -> Result<Nodes, ReadError> {
    let (members, rows, votes): (Vec<Member>, _, Vec<Vote>) = futures::try_join!(
        lookout.get("/cluster/status", &[]),
        rows(lookout),
        lookout.get("/cluster/config/nodes", &[])
    )?;
    // A node that belongs to no cluster says nothing of a quorum.
    let cluster = members.iter().find(|row| row.kind == "cluster");
    let node = |member: &Member| Node {
        name: member.name.clone(),
        online: member.online,
        ip: member.ip.clone(),
        votes: votes
            .iter()
            .find(|vote| vote.node == member.name)
            .map_or(1, |vote| u32::try_from(vote.quorum_votes).unwrap_or(0)),
        memory: rows.iter().find(|row| row.node == member.name).and_then(|row| Some((row.mem?, row.maxmem?))),
    };
    Ok(Nodes {
        quorate: cluster.is_none_or(|cluster| cluster.quorate),
        is_cluster: cluster.is_some(),
        nodes: members.iter().filter(|row| row.kind == "node").map(node).collect(),
    })
}
