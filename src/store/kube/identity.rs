//! Who the API server takes this process for.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{Api, Client, api::PostParams};

use crate::ports::StoreError;

use super::bounded;

/// When to ask again an API server that does not answer.
const RETRY: Duration = Duration::from_secs(2);

/// The user name of this process. Waits for an API server that is away.
pub async fn own_name(client: &Client) -> Result<String, StoreError> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let (params, review) = (PostParams::default(), SelfSubjectReview::default());
    loop {
        let asked = reviews.create(&params, &review);
        match bounded("ask who this process is on", "the API server", asked).await {
            Ok(review) => return named(review),
            Err(error @ StoreError::Unavailable { .. }) => {
                tracing::warn!(%error, "waiting for the API server");
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn named(review: SelfSubjectReview) -> Result<String, StoreError> {
    let name = review.status.and_then(|status| status.user_info).and_then(|user| user.username);
    name.ok_or_else(|| StoreError::Unavailable {
        what: "learn who this process is".to_owned(),
        why: "the API server names no user".to_owned(),
    })
}
