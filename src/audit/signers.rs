//! Lists of those who may sign, as `ssh-keygen -Y verify` takes them.

use ssh_key::{PublicKey, public::KeyData};

use super::seal::NAMESPACE;

/// Of more lines it is not said why they were passed over.
const MOST_TOLD: usize = 5;

/// Whose key it is, or which lines were passed over, and why.
pub(super) fn owner(allowed: &str, key: &KeyData) -> Result<String, String> {
    let mut passed_over = vec![];
    for (index, line) in allowed.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match allowed_by(line) {
            Ok((name, of)) if of.key_data() == key => return Ok(name),
            Ok(_) => {}
            Err(why) => passed_over.push(format!("line {} was passed over: {why}", index + 1)),
        }
    }
    let more = passed_over.len().saturating_sub(MOST_TOLD);
    passed_over.truncate(MOST_TOLD);
    if more > 0 {
        passed_over.push(format!("and {more} more lines"));
    }
    Err(passed_over.join("; "))
}

/// The name and the key on a line. What sets conditions of time, or speaks of an authority, can't be held to them here.
fn allowed_by(line: &str) -> Result<(String, PublicKey), String> {
    let no_key = || "it is no `NAME KEY`".to_owned();
    if PublicKey::from_openssh(line).is_ok() {
        return Err("there is no name before the key".to_owned());
    }
    let (name, rest) = line.split_once(char::is_whitespace).ok_or_else(no_key)?;
    let rest = rest.trim();
    if let Ok(key) = PublicKey::from_openssh(rest) {
        return Ok((name.to_owned(), key));
    }
    let (options, key) = rest.split_once(char::is_whitespace).ok_or_else(no_key)?;
    let key = PublicKey::from_openssh(key.trim()).map_err(|_| no_key())?;
    let namespaces = options.strip_prefix("namespaces=\"").and_then(|text| text.strip_suffix('"'));
    match namespaces.filter(|listed| !listed.contains('"')) {
        Some(listed) if listed.split(',').any(|namespace| namespace == NAMESPACE) => {
            Ok((name.to_owned(), key))
        }
        Some(listed) => Err(format!("it is for namespace {listed}, and not for {NAMESPACE}")),
        None => Err(format!("what it sets is not checked here, only namespaces are: {options}")),
    }
}
