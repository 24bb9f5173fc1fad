//! What an operation declares about who may call it, before any parameter is looked at.
use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
pub enum Permission {
    World,
    AnyUser,
    RootOnly,
    Check(Check),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    All(Vec<Check>),
    Any(Vec<Check>),
    Privileges {
        path: String,
        privileges: Vec<String>,
        any: bool,
        only_with: Option<String>,
    },
    /// The `userid` parameter names the caller.
    Oneself,
    /// The realm of the `userid` parameter may be filled by the caller.
    UserRealm,
    UserGroup {
        privileges: Vec<String>,
        creates: bool,
        takes_groups: bool,
    },
    ModifyPermissions {
        path: String,
    },
    /// A kind of check that this table does not know refuses everybody but root.
    Unknown,
}

impl Permission {
    pub(super) fn read(declared: &Value) -> Self {
        if let Some(check) = declared.get("check") {
            return Self::Check(Check::read(check));
        }
        match declared.get("user").and_then(Value::as_str) {
            Some("world") => Self::World,
            Some("all") => Self::AnyUser,
            _ => Self::RootOnly,
        }
    }
}

impl Check {
    fn read(declared: &Value) -> Self {
        let Some(parts) = declared.as_array() else {
            return Self::Unknown;
        };
        let text = |position: usize| parts.get(position).and_then(Value::as_str).unwrap_or_default();
        let nested = || parts.iter().skip(1).map(Self::read).collect();
        match text(0) {
            "and" => Self::All(nested()),
            "or" => Self::Any(nested()),
            "perm" => Self::Privileges {
                path: text(1).to_owned(),
                privileges: strings(parts.get(2)),
                any: option(parts, "any").is_some(),
                only_with: option(parts, "require_param").and_then(Value::as_str).map(str::to_owned),
            },
            "userid-param" if text(1) == "self" => Self::Oneself,
            "userid-param" => Self::UserRealm,
            "userid-group" => {
                let groups = option(parts, "groups_param").and_then(Value::as_str);
                Self::UserGroup {
                    privileges: strings(parts.get(1)),
                    creates: groups == Some("create"),
                    takes_groups: groups.is_some(),
                }
            }
            "perm-modify" => Self::ModifyPermissions { path: text(1).to_owned() },
            _ => Self::Unknown,
        }
    }
}

/// Options follow the fixed parts of a check as name and value, side by side.
fn option<'a>(parts: &'a [Value], name: &str) -> Option<&'a Value> {
    let position = parts.iter().position(|part| part.as_str() == Some(name))?;
    parts.get(position + 1)
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array);
    list.map(|items| items.iter().filter_map(Value::as_str).map(str::to_owned).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_operation_without_a_declaration_is_for_root_only() {
        assert_eq!(Permission::read(&Value::Null), Permission::RootOnly);
    }

    #[test]
    fn options_of_a_check_are_read_by_name() {
        let declared = json!({"check": ["perm", "/pool/{pool}", ["VM.Allocate"], "require_param", "pool"]});
        let expected = Check::Privileges {
            path: "/pool/{pool}".into(),
            privileges: vec!["VM.Allocate".into()],
            any: false,
            only_with: Some("pool".into()),
        };
        assert_eq!(Permission::read(&declared), Permission::Check(expected));
    }
}
