//! What time the API server has: it dates the approvals, and this machine's clock may be another one.

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};

use crate::ports::StoreError;

use super::{CONTROLLER, bounded};

/// The date on an Event that is never stored: an operator may create Events everywhere it works.
pub(super) async fn time(client: &Client, namespace: &str) -> Result<Timestamp, StoreError> {
    let event = Event {
        metadata: ObjectMeta { generate_name: Some("clock-".to_owned()), ..ObjectMeta::default() },
        event_time: Some(MicroTime(Timestamp::now())),
        type_: Some("Normal".to_owned()),
        reason: Some("Clock".to_owned()),
        action: Some("Ask".to_owned()),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(CONTROLLER.to_owned()),
        regarding: Some(ObjectReference {
            kind: Some("Namespace".to_owned()),
            name: Some(namespace.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectReference::default()
        }),
        ..Event::default()
    };
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let what = "ask the API server for the time in";
    let dated = bounded(what, namespace, api.create(&params, &event)).await?;
    dated.metadata.creation_timestamp.map(|moment| moment.0).ok_or_else(|| StoreError::Unavailable {
        what: format!("{what} {namespace}"),
        why: "it does not date what it is given".to_owned(),
    })
}
