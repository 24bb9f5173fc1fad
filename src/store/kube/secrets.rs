//! Tokens and parameters out of Secrets.

use futures::{FutureExt, future::BoxFuture};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use secrecy::SecretString;

use crate::{
    api::SecretKeyRef,
    ports::{SecretError, Secrets},
};

use super::{CALL_TIMEOUT, told};

/// Secrets of the cluster.
#[derive(Clone)]
pub struct KubeSecrets {
    client: Client,
}

impl std::fmt::Debug for KubeSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KubeSecrets")
    }
}

impl KubeSecrets {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn read_key(&self, namespace: &str, reference: &SecretKeyRef) -> Result<SecretString, String> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let read = tokio::time::timeout(CALL_TIMEOUT, api.get_opt(&reference.name)).await;
        let secret = read
            .map_err(|_| "no answer from the API server".to_owned())?
            .map_err(|error| told(&error))?
            .ok_or_else(|| format!("there is no such Secret in namespace {namespace}: create it"))?;
        let value = secret.data.and_then(|mut data| data.remove(&reference.key));
        let value = value.ok_or_else(|| "the Secret has no such key: add it".to_owned())?;
        let text = String::from_utf8(value.0).map_err(|_| "the value is not text".to_owned())?;
        Ok(SecretString::from(text.trim_end_matches('\n').to_owned()))
    }
}

impl Secrets for KubeSecrets {
    fn read<'a>(
        &'a self,
        namespace: &'a str,
        reference: &'a SecretKeyRef,
    ) -> BoxFuture<'a, Result<SecretString, SecretError>> {
        async move {
            self.read_key(namespace, reference).await.map_err(|why| SecretError {
                secret: format!("{namespace}/{}", reference.name),
                key: reference.key.clone(),
                why,
            })
        }
        .boxed()
    }
}
