//! Schemas that the derive macros can't express: bounded lists, open maps, standard conditions.
//!
//! A bound stands on everything a writer controls, so that no object can grow without limit and the API server
//! can estimate the cost of each CEL rule.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Parameters of an action: names are bounded here, values by the catalogue, which knows each one's type. No value is a
/// list or an object: one that is nested deeply enough could not be read, and with it no list that it stands in.
pub(super) fn params(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "x-kubernetes-preserve-unknown-fields": true, "maxItems": 0, "maxProperties": 0 },
    })
}

/// Up to 16 short lines of text.
pub(super) fn lines(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "maxItems": 16, "items": { "type": "string", "maxLength": 512 } })
}

/// Up to 200 rows of a read's result.
pub(super) fn rows(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "maxItems": 200, "items": { "type": "string", "maxLength": 256 } })
}

/// Names of groups or task types.
pub(super) fn names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "maxItems": 32, "items": { "type": "string", "minLength": 1, "maxLength": 253 } })
}

/// Public keys of one person.
pub(super) fn keys(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "minItems": 1, "maxItems": 8,
        "items": { "type": "string", "minLength": 1, "maxLength": 16384 },
    })
}

/// Facts about the target, by name.
pub(super) fn facts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": { "type": "string", "maxLength": 512 },
    })
}

/// Parameters of a call, by name.
pub(super) fn call_params(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 96,
        "additionalProperties": { "type": "string", "maxLength": 512 },
    })
}

/// Base addresses of a Proxmox API.
pub(super) fn endpoints(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "minItems": 1, "maxItems": 8,
        "items": { "type": "string", "maxLength": 512, "pattern": "^https?://[^/?#\\s]+/?$" },
    })
}

/// `metav1.Condition`, with the bounds that Kubernetes documents for it.
pub(super) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 8,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": { "type": "string", "maxLength": 316 },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
                "observedGeneration": { "type": "integer", "format": "int64", "minimum": 0 },
                "lastTransitionTime": { "type": "string", "format": "date-time" },
                "reason": { "type": "string", "minLength": 1, "maxLength": 1024 },
                "message": { "type": "string", "maxLength": 4096 },
            },
        },
    })
}
