use futures::future::try_join_all;
use serde::Deserialize;

use crate::{
    catalog::Vmid,
    core::observe::{Pool, Rights, Seen},
    pve::ReadError,
};

use super::{
    lookout::Lookout,
    sight::{Sight, hidden, whole},
};

#[derive(Deserialize)]
pub(super) struct Row {
    pub poolid: String,
    pub comment: Option<String>,
    #[serde(default)]
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    vmid: Option<u32>,
    storage: Option<String>,
}

pub(super) async fn rows(lookout: &Lookout<'_>) -> Result<Vec<Row>, ReadError> {
    lookout.get("/pools", &[]).await
}

pub(super) async fn pools(lookout: &Lookout<'_>, rights: &Rights) -> Result<Seen<Vec<Pool>>, ReadError> {
    const WHAT: &str = "the pools";
    if let Some(why) = hidden(WHAT, rights, &[Sight::below(&["Pool.Audit"], "/pool")]) {
        return Ok(Seen::Unknown { why });
    }
    whole(WHAT, read(lookout).await)
}

async fn read(lookout: &Lookout<'_>) -> Result<Vec<Pool>, ReadError> {
    let rows = rows(lookout).await?;
    let pools = try_join_all(rows.iter().map(|row| members(lookout, &row.poolid))).await?;
    Ok(pools.into_iter().flatten().map(pool).collect())
}

/// A pool within a pool has a slash in its name, which only a parameter takes.
async fn members(lookout: &Lookout<'_>, id: &str) -> Result<Vec<Row>, ReadError> {
    lookout.get("/pools", &[("poolid", id.to_owned())]).await
}

fn pool(row: Row) -> Pool {
    Pool {
        id: row.poolid,
        comment: row.comment.unwrap_or_default(),
        guests: row.members.iter().filter_map(|member| member.vmid.and_then(Vmid::new)).collect(),
        storages: row
            .members
            .into_iter()
            .filter(|member| member.vmid.is_none())
            .filter_map(|member| member.storage)
            .collect(),
    }
}
