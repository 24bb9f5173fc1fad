use super::*;

fn record(message: &str) -> AuditRecord {
    AuditRecord::new(Timestamp::UNIX_EPOCH, AuditEvent::Planned, Actor::requester("alice"), message)
}

fn line(head: &Head, message: &str) -> (Vec<u8>, Head) {
    let (mut line, next) = head.append(&record(message)).unwrap();
    assert_eq!(line.pop(), Some(b'\n'));
    (line, next)
}

fn start() -> Head {
    Head::before_the_first("pve-agent-0-4f1c".to_owned())
}

#[test]
fn a_line_says_where_it_stands_and_vouches_for_the_one_before() {
    let (first, head) = line(&start(), "one");
    let (second, _) = line(&head, "two\nlines");
    let stamp = stamp_of(&first).unwrap();
    assert_eq!((stamp.sequence, stamp.chain.as_str()), (1, "pve-agent-0-4f1c"));
    assert_eq!(stamp.head(), head);
    assert!(is_hash_of(&stamp_of(&second).unwrap().previous, &first));
    assert_eq!(head.is_not_followed_by(&stamp_of(&second).unwrap()), None);
    assert!(!second.contains(&b'\n'));
}

#[test]
fn a_record_comes_back_as_it_was() {
    let told = AuditRecord { attempt: Some(2), plan: "p".to_owned(), ..record("said") };
    let (written, _) = start().append(&told).unwrap();
    assert_eq!(serde_json::from_slice::<AuditRecord>(&written).unwrap(), told);
}

#[test]
fn no_bit_of_a_line_can_change_unnoticed_even_if_nothing_follows_it() {
    let (written, _) = line(&start(), "it was me");
    for place in 0..written.len() {
        for bit in 0..8 {
            let mut changed = written.clone();
            changed[place] ^= 1 << bit;
            assert!(stamp_of(&changed).is_err(), "bit {bit} of byte {place}");
        }
    }
}

#[test]
fn a_line_that_checks_itself_and_follows_another_one_is_told_apart() {
    let (_, head) = line(&start(), "one");
    let (other, _) = line(&line(&start(), "another one").1, "two");
    let why = head.is_not_followed_by(&stamp_of(&other).unwrap()).unwrap();
    assert!(why.contains("not the one that it was written after"), "{why}");
    let (elsewhere, _) = line(&Head { chain: "other".to_owned(), ..head.clone() }, "two");
    assert!(
        head.is_not_followed_by(&stamp_of(&elsewhere).unwrap()).unwrap().contains("belongs to chain other")
    );
    let (later, _) = line(&line(&head, "two").1, "three");
    assert_eq!(
        head.is_not_followed_by(&stamp_of(&later).unwrap()).unwrap(),
        "its sequence is 3 where 2 is due"
    );
}

#[test]
fn what_is_no_record_is_no_line_whatever_its_check_says() {
    let (written, _) = line(&start(), "it was me");
    let (body, _) = check_of(&written).unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap().replace("\"planned\"", "\"rumoured\"");
    let check: String = {
        use sha2::{Digest, Sha256};
        Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let forged = format!("{text},\"check\":\"sha256:{check}\"}}");
    assert!(matches!(stamp_of(forged.as_bytes()), Err(NotALine::NoRecord(why)) if why.contains("rumoured")));
}

#[test]
fn what_is_larger_than_a_line_is_refused() {
    let error = start().append(&record(&"x".repeat(LARGEST_LINE))).unwrap_err();
    assert!(error.to_string().contains("too large"), "{error}");
}

#[test]
fn only_what_tells_of_a_call_that_may_have_left_may_take_the_last_room() {
    let intent = serde_json::json!({
        "attempt": 1, "nonce": "n", "node": "pve1", "taskId": "101", "taskTypes": ["qmstart"], "sender": "a@pve!b",
        "nodeTime": "2026-01-01T00:00:00Z", "at": "2026-01-01T00:00:00Z", "settlesAt": "2026-01-01T00:00:09Z",
    });
    let of = |event, intent| AuditRecord {
        intent,
        ..AuditRecord::new(Timestamp::UNIX_EPOCH, event, Actor::operator(""), "")
    };
    let intent: Option<Intent> = serde_json::from_value(intent).unwrap();
    for event in [AuditEvent::Sent, AuditEvent::HandedOver, AuditEvent::Ended] {
        assert!(of(event, intent.clone()).is_of_a_call_that_may_have_left());
        assert!(!of(event, None).is_of_a_call_that_may_have_left());
    }
    for event in [AuditEvent::Intent, AuditEvent::Rejudged, AuditEvent::ApprovalRefused] {
        assert!(!of(event, intent.clone()).is_of_a_call_that_may_have_left(), "{event:?}");
    }
}
