//! The index of container templates, and fetching one of them; no connection is opened for it.
use serde_json::{Map, Value};

use super::volumes::{add, arriving};
use super::{Route, data};
use crate::pve::sim::disks;
use crate::pve::sim::engine::{Call, NewTask};
use crate::pve::sim::http::{Answer, Refusal, refuse};
use crate::pve::sim::world::Config;

pub(super) const ROUTES: &[Route] =
    &[("GET", "/nodes/{node}/aplinfo", list), ("POST", "/nodes/{node}/aplinfo", fetch)];

/// Where a world file keeps them, by the name of their file.
const DEFINITIONS: &str = "appliances";

/// A node that never fetched the index answers `null`.
fn list(call: &mut Call<'_>) -> Answer {
    let known = call.state.world.definitions.get(DEFINITIONS);
    data(known.map_or(Value::Null, |known| known.iter().map(row).collect()))
}

fn row((file, details): (&String, &Config)) -> Value {
    let mut row: Map<String, Value> = details.clone().into_iter().collect();
    row.insert("template".to_owned(), file.as_str().into());
    row.into()
}

fn fetch(call: &mut Call<'_>) -> Answer {
    let (node, name, file) =
        (call.node().to_owned(), call.text("storage").to_owned(), call.text("template").to_owned());
    let known = call.state.world.definitions.get(DEFINITIONS);
    if !known.is_some_and(|known| known.contains_key(&file)) {
        return Err(Refusal::parameter("template", "no such template"));
    }
    let storage = disks::available(call.state, &node, &name).map_err(Refusal::Failed)?;
    if !disks::content_types(storage).contains(&"vztmpl") {
        return refuse(format!("storage '{name}' does not support templates"));
    }
    let target = disks::volume_path(storage, &format!("{name}:vztmpl/{file}"));
    let new = NewTask::other(&node, "download", file.clone(), &call.caller.id(), move |run| {
        run.say(format!("downloading {file} to {target}"));
        let volume = arriving(&name, "vztmpl", &file, 1 << 20, run.state.clock.seconds());
        add(run.state, &name, volume);
        run.say("download finished");
        Ok(())
    });
    call.fork(new)
}
