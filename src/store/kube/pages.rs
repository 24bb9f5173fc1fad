//! Lists of any length, in pages: what is held at once does not grow with what there is.
//!
//! Decisions rest on them, so a list is of one moment, however many pages it has: what continues it carries the
//! resourceVersion of its first page. An API server that does not know that moment any more would go on with a later one.
//! A plan could then be in none of the pages or in two, so the list begins anew instead.

use kube::{
    Api,
    api::ListParams,
    core::{DeserializeGuard, ObjectList},
};

use super::{KubeStore, bounded};
use crate::ports::{Key, Kind, StoreError};

/// So many objects come in one answer. An answer is held as a whole, as text and as objects, and many are read at a time.
const PAGE: u32 = 100;
/// The API server remembers a moment for minutes: a list that takes longer so often has no end.
const BEGINNINGS: usize = 3;

type Page<K> = ObjectList<DeserializeGuard<K>>;

impl KubeStore {
    /// Reads live. What can't be understood claims nothing; it is reported on itself.
    pub(super) async fn list<K: Kind, T>(
        &self,
        namespace: &str,
        fields: &str,
        of_interest: impl Fn(K) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.fold(namespace, fields, |guard| Ok(guard.0.ok().and_then(&of_interest))).await
    }

    /// Reads live what could also say no: one that can't be understood must not be passed over.
    pub(super) async fn list_whole<K: Kind>(
        &self,
        word: &str,
        namespace: &str,
        fields: &str,
    ) -> Result<Vec<K>, StoreError> {
        let understood = |guard: DeserializeGuard<K>| {
            guard.0.map(Some).map_err(|invalid| StoreError::Malformed {
                object: format!("{word} {namespace}/{}", invalid.metadata.name.unwrap_or_default()),
                why: invalid.error,
            })
        };
        self.fold(namespace, fields, understood).await
    }

    async fn fold<K: Kind, T>(
        &self,
        namespace: &str,
        fields: &str,
        of_interest: impl Fn(DeserializeGuard<K>) -> Result<Option<T>, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        for _ in 0..BEGINNINGS {
            let mut found = Vec::new();
            let mut next = self.page(namespace, fields, None).await?;
            while let Some(page) = next {
                for object in page.items {
                    found.extend(of_interest(object)?);
                }
                match page.metadata.continue_.filter(|token| !token.is_empty()) {
                    None => return Ok(found),
                    Some(token) => next = self.page(namespace, fields, Some(token)).await?,
                }
            }
        }
        Err(StoreError::Unavailable {
            what: format!("list {}", Key::new(namespace, fields)),
            why: format!("the API server forgot what it was like before the last page, {BEGINNINGS} times"),
        })
    }

    /// `None` if the API server has forgotten the moment that is to be continued.
    async fn page<K: Kind>(
        &self,
        namespace: &str,
        fields: &str,
        token: Option<String>,
    ) -> Result<Option<Page<K>>, StoreError> {
        let params = ListParams { continue_token: token, ..ListParams::default().fields(fields).limit(PAGE) };
        let api: Api<DeserializeGuard<K>> = Api::namespaced(self.client.clone(), namespace);
        let listing = async {
            match api.list(&params).await {
                Err(kube::Error::Api(status)) if status.code == 410 && params.continue_token.is_some() => {
                    Ok(None)
                }
                answer => answer.map(Some),
            }
        };
        let _turn = self.turn().await;
        bounded("list", &Key::new(namespace, fields), listing).await
    }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
