//! The CustomResourceDefinitions of all kinds, derived from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use super::{ProxmoxActionApproval, ProxmoxActionPlan, ProxmoxEnvironment, ProxmoxPolicy};

/// Every definition, in the order in which a reader meets the kinds.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![
        ProxmoxActionPlan::crd(),
        ProxmoxActionApproval::crd(),
        ProxmoxEnvironment::crd(),
        ProxmoxPolicy::crd(),
    ]
}
