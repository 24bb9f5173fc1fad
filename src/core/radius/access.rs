//! A pool: a name by which rights are given and backups are made.

use crate::{api::Risk, catalog::Target, core::observe::Pool};

use super::{Ask, Radius};

pub(super) fn pool(ask: Ask<'_>, found: &mut Radius) {
    let pools = found.seen(&ask.world.pools).map(Vec::as_slice).unwrap_or_default();
    let acl = found.seen(&ask.world.acl).map(Vec::as_slice).unwrap_or_default();
    let jobs = found.seen(&ask.world.backup_jobs).map(Vec::as_slice).unwrap_or_default();
    let Target::Pool(id) = &ask.request.target else { return };
    let id = id.as_str();
    let pool = pools.iter().find(|pool| pool.id == id);
    let members = members(ask, id, pool, pools, found);
    if members == 0 && !ask.is_gone() {
        return;
    }
    for entry in acl {
        let effect = match ask.is_gone() {
            true => format!("loses the role {} on {}", entry.role, entry.path),
            false => format!("holds the role {} over other members by {}", entry.role, entry.path),
        };
        found.hit(&format!("user/{}", entry.who), effect).raises(Risk::High);
    }
    for job in jobs.iter().filter(|job| job.settings.get("pool").is_some_and(|pool| pool == id)) {
        found
            .hit(&format!("backup-job/{}", job.id), format!("saves other guests by pool {id}"))
            .raises(Risk::High);
    }
}

/// Hits who leaves or comes, and counts them.
fn members(ask: Ask<'_>, id: &str, pool: Option<&Pool>, pools: &[Pool], found: &mut Radius) -> usize {
    let leaves = ask.is_gone() || ask.request.flag("delete");
    let listed = |name| -> Vec<String> { ask.request.list(name).map(str::to_owned).collect() };
    let (guests, storages) = match pool.filter(|_| ask.is_gone()) {
        Some(pool) => (pool.guests.iter().map(ToString::to_string).collect(), pool.storages.clone()),
        None => (listed("guests"), listed("storage")),
    };
    let verb = if leaves { "leaves" } else { "joins" };
    for guest in &guests {
        found.hit(&format!("guest/{guest}"), format!("{verb} pool {id} and the rights that it gives"));
        for other in pools.iter().filter(|other| other.id != id && !leaves) {
            if other.guests.iter().any(|member| member.to_string() == *guest) {
                found.hit(&format!("guest/{guest}"), format!("leaves pool {}", other.id)).raises(Risk::High);
            }
        }
    }
    for storage in &storages {
        found.hit(&format!("storage/{storage}"), format!("{verb} pool {id} and the rights that it gives"));
    }
    guests.len() + storages.len()
}
