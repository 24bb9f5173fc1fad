//! The control plane of the simulation, outside of `/api2`: for tests that run in another process.
use ::http::Method;
use serde_json::{Value, json};

use super::faults::Faults;
use super::http::{Request, Response};
use super::simulation::Simulation;
use super::world::World;

const PREFIX: &str = "/_sim/";

/// `None` if the request is not for the control plane.
pub(super) fn answer(simulation: &Simulation, request: &Request) -> Option<Response> {
    let name = request.uri.path().strip_prefix(PREFIX)?;
    Some(match (&request.method, name) {
        (&Method::GET, "ledger") => done(&json!(simulation.ledger().entries())),
        (&Method::GET, "world") => done(&json!(simulation.state().snapshot_world())),
        (&Method::PUT, "world") => replace_world(simulation, &request.body),
        (&Method::PUT, "faults") => replace_faults(simulation, &request.body),
        (&Method::POST, "restart") => {
            simulation.restart();
            done(&Value::Null)
        }
        _ => failed(404, &format!("the simulation has no control '{} {PREFIX}{name}'", request.method)),
    })
}

fn replace_faults(simulation: &Simulation, body: &[u8]) -> Response {
    match serde_json::from_slice(body) {
        Ok(faults) => {
            simulation.state().faults = Faults::new(faults);
            done(&Value::Null)
        }
        Err(error) => failed(400, &format!("failed to read the faults: {error}; send a JSON list of faults")),
    }
}

/// Tasks and tickets of the old world are gone with it.
fn replace_world(simulation: &Simulation, body: &[u8]) -> Response {
    match World::from_yaml(&String::from_utf8_lossy(body)) {
        Ok(world) => {
            simulation.state().replace_world(world);
            done(&Value::Null)
        }
        Err(error) => failed(400, &error.to_string()),
    }
}

fn done(body: &Value) -> Response {
    Response::json(200, "OK", body)
}

fn failed(status: u16, message: &str) -> Response {
    Response::json(status, "Refused", &json!({ "message": message }))
}
