//! Who is calling: API tokens, tickets, and the reasons for which Proxmox turns a caller away.
use std::collections::BTreeMap;

use http::HeaderMap;
use subtle::ConstantTimeEq;

use crate::pve::sim::world::World;

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pve::sim) struct Caller {
    pub(in crate::pve::sim) user: String,
    pub(in crate::pve::sim) token: Option<CallerToken>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pve::sim) struct CallerToken {
    pub(in crate::pve::sim) name: String,
    pub(in crate::pve::sim) separated: bool,
}

impl Caller {
    /// `root@pam!full` as UPIDs write it, or just the user.
    pub(in crate::pve::sim) fn id(&self) -> String {
        match &self.token {
            Some(token) => format!("{}!{}", self.user, token.name),
            None => self.user.clone(),
        }
    }

    /// Some options are for the person root alone; a token of root is not root.
    pub(in crate::pve::sim) fn is_root(&self) -> bool {
        self.user == "root@pam" && self.token.is_none()
    }
}

/// The tickets that were handed out, with the token against forged requests that belongs to each.
#[derive(Debug, Default)]
pub(in crate::pve::sim) struct Tickets(BTreeMap<String, Ticket>);

#[derive(Debug)]
struct Ticket {
    user: String,
    csrf: String,
}

impl Tickets {
    pub(in crate::pve::sim) fn issue(&mut self, user: &str, now: i64) -> (String, String) {
        let ticket = format!("PVE:{user}:{now:08X}::{}", uuid::Uuid::new_v4().simple());
        let csrf = format!("{now:08X}:{}", uuid::Uuid::new_v4().simple());
        self.0.insert(ticket.clone(), Ticket { user: user.to_owned(), csrf: csrf.clone() });
        (ticket, csrf)
    }

    /// `Err` is the reason phrase of the 401.
    pub(in crate::pve::sim) fn authenticate(
        &self,
        world: &World,
        headers: &HeaderMap,
        writes: bool,
        now: i64,
    ) -> Result<Caller, &'static str> {
        if let Some(secret) = token_header(headers) {
            return token_caller(world, secret, now).ok_or("Authentication failed!");
        }
        let ticket = cookie(headers).ok_or("No ticket")?;
        let ticket = self.0.get(&ticket).ok_or("Authentication failed!")?;
        let user = world.users.get(&ticket.user).ok_or("Authentication failed!")?;
        if !is_active(user.enable, user.expire, now) {
            return Err("Authentication failed!");
        }
        let csrf =
            headers.get("CSRFPreventionToken").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if writes && csrf != ticket.csrf {
            return Err("Permission denied - invalid csrf token");
        }
        Ok(Caller { user: ticket.user.clone(), token: None })
    }
}

fn token_header(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("PVEAPIToken=")
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(http::header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let ticket = cookies
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix("PVEAuthCookie="))?;
    Some(super::super::http::decode_percent(ticket))
}

fn token_caller(world: &World, text: &str, now: i64) -> Option<Caller> {
    let (full, secret) = text.split_once('=')?;
    let (user_id, name) = full.split_once('!')?;
    let user = world.users.get(user_id)?;
    let token = user.tokens.get(name)?;
    let known = token.secret.as_deref()?;
    let matches: bool = known.as_bytes().ct_eq(secret.as_bytes()).into();
    let active = is_active(user.enable, user.expire, now) && is_active(1, token.expire, now);
    (matches && active).then(|| Caller {
        user: user_id.to_owned(),
        token: Some(CallerToken { name: name.to_owned(), separated: token.privsep == 1 }),
    })
}

fn is_active(enable: u8, expire: i64, now: i64) -> bool {
    enable == 1 && (expire == 0 || expire > now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORLD: &str = r#"
nodes: {pve1: {}}
users:
  root@pam: {tokens: {full: {secret: s3cret, privsep: 0}, old: {secret: s3cret, expire: 10}}}
  gone@pam: {enable: 0, tokens: {a: {secret: s3cret}}}
"#;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[track_caller]
    fn refused(headers: &HeaderMap, reason: &str) {
        let world = World::from_yaml(WORLD).unwrap();
        assert_eq!(Tickets::default().authenticate(&world, headers, false, 100).unwrap_err(), reason);
    }

    #[test]
    fn nothing_sent_is_no_ticket() {
        refused(&HeaderMap::new(), "No ticket");
        refused(&with("authorization", "Bearer x"), "No ticket");
    }

    #[test]
    fn every_bad_token_fails_in_the_same_words() {
        for token in ["root@pam!full=wrong", "root@pam!none=s3cret", "nobody@pam!full=s3cret", "garbage"] {
            refused(&with("authorization", &format!("PVEAPIToken={token}")), "Authentication failed!");
        }
    }

    #[test]
    fn an_expired_token_and_a_disabled_user_are_turned_away() {
        refused(&with("authorization", "PVEAPIToken=root@pam!old=s3cret"), "Authentication failed!");
        refused(&with("authorization", "PVEAPIToken=gone@pam!a=s3cret"), "Authentication failed!");
    }

    #[test]
    fn a_token_of_root_is_not_root() {
        let world = World::from_yaml(WORLD).unwrap();
        let headers = with("authorization", "PVEAPIToken=root@pam!full=s3cret");
        let caller = Tickets::default().authenticate(&world, &headers, true, 100).unwrap();
        assert_eq!(caller.id(), "root@pam!full");
        assert!(!caller.is_root());
    }

    #[test]
    fn a_ticket_writes_only_with_its_csrf_token() {
        let world = World::from_yaml(WORLD).unwrap();
        let mut tickets = Tickets::default();
        let (ticket, csrf) = tickets.issue("root@pam", 100);
        let mut headers = with("cookie", &format!("PVEAuthCookie={ticket}"));
        assert!(tickets.authenticate(&world, &headers, false, 100).is_ok());
        let refusal = tickets.authenticate(&world, &headers, true, 100).unwrap_err();
        assert_eq!(refusal, "Permission denied - invalid csrf token");
        headers.insert("CSRFPreventionToken", csrf.parse().unwrap());
        assert!(tickets.authenticate(&world, &headers, true, 100).is_ok());
    }
}
