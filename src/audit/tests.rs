use std::{fs, io::Write, os::unix::fs::PermissionsExt};

use futures::{StreamExt, future::join_all, stream::FuturesOrdered};
use tempfile::TempDir;

use super::*;
use crate::system::SystemClock;

fn record(message: &str) -> AuditRecord {
    AuditRecord::new(Timestamp::UNIX_EPOCH, AuditEvent::Planned, Actor::requester("alice"), message)
}

/// What tells of a call that may have left.
fn outcome(message: &str) -> AuditRecord {
    let intent = serde_json::json!({
        "attempt": 1, "nonce": "n", "node": "pve1", "taskId": "101", "taskTypes": ["qmstart"], "sender": "a@pve!b",
        "nodeTime": "2026-01-01T00:00:00Z", "at": "2026-01-01T00:00:00Z", "settlesAt": "2026-01-01T00:00:09Z",
    });
    let intent = serde_json::from_value(intent).unwrap();
    AuditRecord { intent, event: AuditEvent::Ended, ..record(message) }
}

/// A folder for chains.
struct House(TempDir);

impl House {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// With segments of so many bytes.
    fn open_with(&self, name: &str, segment_size: u64) -> io::Result<AuditFolder> {
        AuditFolder::open_with(&self.path(name), name, &SystemClock, segment_size)
    }

    fn open(&self, name: &str) -> AuditFolder {
        self.open_with(name, SEGMENT_SIZE).unwrap()
    }

    fn segment(&self, name: &str, number: u32) -> PathBuf {
        self.path(name).join(format!("{number:08}.jsonl"))
    }

    fn verify(&self, name: &str) -> Chain {
        verify(&self.path(name), |_, _, _| Ok(())).unwrap()
    }

    /// Everything that is on record, in order.
    fn told(&self, name: &str) -> Vec<AuditRecord> {
        let mut told = vec![];
        verify(&self.path(name), |_, _, line| {
            told.push(serde_json::from_slice(line)?);
            Ok(())
        })
        .unwrap();
        told
    }

    fn messages(&self, name: &str) -> Vec<String> {
        self.told(name).into_iter().map(|record| record.message).collect()
    }
}

fn problems(chain: &Chain) -> Vec<String> {
    chain.problems.iter().map(ToString::to_string).collect()
}

async fn some_lines(log: &AuditFolder, count: usize) {
    for number in 0..count {
        log.append(record(&format!("line {number}"))).await.unwrap();
    }
}

#[tokio::test]
async fn a_chain_begins_with_who_keeps_it_and_goes_on_after_it_was_closed() {
    let house = House::new();
    let log = house.open("a");
    some_lines(&log, 2).await;
    let head = log.head();
    drop(log);
    let again = house.open("a");
    assert_eq!(again.head(), head);
    some_lines(&again, 1).await;
    drop(again);
    let told = house.told("a");
    let keeper = told[0].keeper.as_ref().unwrap();
    assert_eq!((told[0].event, keeper.replica.as_str()), (AuditEvent::Began, "a"));
    assert!(head.chain.starts_with("a-"), "{}", head.chain);
    let chain = house.verify("a");
    assert_eq!((chain.lines, problems(&chain)), (4, vec![]));
}

#[tokio::test]
async fn only_its_owner_can_read_it() {
    let house = House::new();
    drop(house.open("a"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&house.path("a")), mode(&house.segment("a", 1))), (0o700, 0o600));
}

#[tokio::test]
async fn a_file_in_its_place_and_a_second_writer_are_refused_in_words() {
    let house = House::new();
    fs::write(house.path("file"), "").unwrap();
    let told = house.open_with("file", SEGMENT_SIZE).unwrap_err().to_string();
    assert!(told.contains("/file: it is a file, and the log is a folder"), "{told}");
    let _first = house.open("a");
    let told = house.open_with("a", SEGMENT_SIZE).unwrap_err().to_string();
    assert!(told.contains("another process writes to it"), "{told}");
    let told = house.open_with("nowhere/a", SEGMENT_SIZE).unwrap_err().to_string();
    assert!(told.contains("failed to open the audit log"), "{told}");
}

#[tokio::test]
async fn what_is_appended_at_the_same_time_stands_in_the_order_in_which_it_was_asked_for() {
    let house = House::new();
    let log = house.open("a");
    let mut waiting: FuturesOrdered<_> =
        (0..100).map(|number| log.append(record(&format!("line {number}")))).collect();
    while let Some(appended) = waiting.next().await {
        appended.unwrap();
    }
    drop(waiting);
    drop(log);
    let expected: Vec<String> = (0..100).map(|number| format!("line {number}")).collect();
    assert_eq!(house.messages("a")[1..], expected);
}

#[tokio::test]
async fn a_segment_that_is_full_is_followed_by_another_one_and_the_chain_goes_through() {
    let house = House::new();
    let log = house.open_with("a", 1000).unwrap();
    some_lines(&log, 20).await;
    drop(log);
    let reopened = house.open_with("a", 1000).unwrap();
    some_lines(&reopened, 1).await;
    drop(reopened);
    let chain = house.verify("a");
    assert!(chain.segments() > 3, "{}", chain.segments());
    assert_eq!((chain.lines, problems(&chain)), (22, vec![]));
}

#[tokio::test]
async fn a_new_segment_that_a_crash_left_empty_or_torn_is_gone_on_with() {
    for left in ["", "{\"sequence\":"] {
        let house = House::new();
        let log = house.open("a");
        some_lines(&log, 2).await;
        drop(log);
        fs::write(house.segment("a", 2), left).unwrap();
        some_lines(&house.open("a"), 1).await;
        let chain = house.verify("a");
        assert_eq!((problems(&chain), chain.torn), (vec![], u64::from(!left.is_empty())));
        assert_eq!(house.messages("a").last().unwrap(), "line 0");
    }
}

#[tokio::test]
async fn whatever_byte_is_changed_it_shows() {
    let house = House::new();
    let log = house.open("a");
    some_lines(&log, 1).await;
    drop(log);
    let segment = house.segment("a", 1);
    let whole = fs::read(&segment).unwrap();
    for place in 0..whole.len() {
        for bit in 0..8 {
            let mut changed = whole.clone();
            changed[place] ^= 1 << bit;
            fs::write(&segment, changed).unwrap();
            assert!(!house.verify("a").problems.is_empty(), "bit {bit} of byte {place}");
        }
    }
}

#[tokio::test]
async fn wherever_it_is_cut_nothing_that_was_whole_is_lost_and_what_was_not_is_kept_and_marked() {
    let house = House::new();
    let log = house.open("a");
    some_lines(&log, 1).await;
    drop(log);
    let segment = house.segment("a", 1);
    let whole = fs::read(&segment).unwrap();
    let ends: Vec<usize> =
        (0..whole.len()).filter(|place| whole[*place] == b'\n').map(|place| place + 1).collect();
    for cut in 0..=whole.len() {
        fs::write(&segment, &whole[..cut]).unwrap();
        let log = house.open("a");
        some_lines(&log, 1).await;
        drop(log);
        assert!(fs::read(&segment).unwrap().starts_with(&whole[..cut]), "cut at {cut}");
        let chain = house.verify("a");
        assert_eq!(problems(&chain), Vec::<String>::new(), "cut at {cut}");
        let complete = ends.iter().filter(|end| **end <= cut).count();
        // A line that lacks its newline alone is there.
        let complete = complete + usize::from(ends.contains(&(cut + 1)));
        let is_torn = cut > 0 && !ends.contains(&cut) && !ends.contains(&(cut + 1));
        assert_eq!(chain.torn, u64::from(is_torn), "cut at {cut}");
        let began_anew = u64::from(complete == 0);
        assert_eq!(chain.lines, complete as u64 + u64::from(is_torn) + began_anew + 1, "cut at {cut}");
    }
}

#[tokio::test]
async fn whoever_reads_while_a_line_is_written_is_told_so_and_of_no_problem() {
    let house = House::new();
    let log = house.open("a");
    some_lines(&log, 1).await;
    log.append(record("an ü, a \" and a \\")).await.unwrap();
    drop(log);
    let segment = house.segment("a", 1);
    let whole = fs::read(&segment).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in first..=whole.len() {
        fs::write(&segment, &whole[..cut]).unwrap();
        let chain = house.verify("a");
        assert_eq!(problems(&chain), Vec::<String>::new(), "cut at {cut}");
        assert_eq!(chain.is_unfinished, whole[cut - 1] != b'\n', "cut at {cut}");
    }
    // What follows the half line was not written after it, and what is no half line was never one.
    for wrong in [&b"{\"sequence\":4\n"[..], b"\0\0\0", b"{}", b"\n{\"seq", b"noise"] {
        fs::write(&segment, [&whole, wrong].concat()).unwrap();
        let chain = house.verify("a");
        assert!(!chain.problems.is_empty() && !chain.is_unfinished, "{wrong:?}");
    }
    fs::write(&segment, &whole[..whole.len() - 9]).unwrap();
    fs::write(house.segment("a", 2), "").unwrap();
    assert!(!house.verify("a").problems.is_empty(), "only the last segment is written to");
}

#[tokio::test]
async fn a_segment_that_somebody_else_has_put_there_is_not_taken_away() {
    let house = House::new();
    let log = house.open_with("a", 1000).unwrap();
    fs::write(house.segment("a", 2), "somebody's").unwrap();
    some_lines(&log, 20).await;
    drop(log);
    assert_eq!(fs::read_to_string(house.segment("a", 2)).unwrap(), "somebody's");
    assert_eq!(fs::read_to_string(house.segment("a", 1)).unwrap().lines().count(), 21);
}

#[tokio::test]
async fn half_of_a_mark_zeroes_and_noise_at_the_end_are_marked_too() {
    for tail in [&b"\0\0\0\0\0\0"[..], b"half\n", b"\n", b"one\ntwo\nthr", b"\xff\xfe\n\0\0"] {
        let house = House::new();
        some_lines(&house.open("a"), 1).await;
        let segment = house.segment("a", 1);
        fs::OpenOptions::new().append(true).open(&segment).unwrap().write_all(tail).unwrap();
        drop(house.open("a"));
        // The machine stops again in the middle of the mark.
        let marked = fs::read(&segment).unwrap();
        fs::write(&segment, &marked[..marked.len() - 20]).unwrap();
        some_lines(&house.open("a"), 1).await;
        let chain = house.verify("a");
        assert_eq!((problems(&chain), chain.torn), (vec![], 1), "{tail:?}");
    }
}

#[tokio::test]
async fn a_mark_that_does_not_fit_what_it_marks_is_no_excuse() {
    let house = House::new();
    some_lines(&house.open("a"), 1).await;
    let segment = house.segment("a", 1);
    fs::OpenOptions::new().append(true).open(&segment).unwrap().write_all(b"torn").unwrap();
    drop(house.open("a"));
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replace("\ntorn\n", "\nTORN\n")).unwrap();
    assert!(problems(&house.verify("a"))[0].contains(":3: "));
    fs::write(&segment, text.replace("\ntorn\n", "\n")).unwrap();
    assert!(problems(&house.verify("a"))[0].contains("nothing is there"));
}

#[tokio::test]
async fn what_no_crash_leaves_behind_keeps_it_shut_and_says_what_to_do() {
    let house = House::new();
    some_lines(&house.open("a"), 3).await;
    let segment = house.segment("a", 1);
    let text = fs::read_to_string(&segment).unwrap();
    let without = |number: usize| {
        let lines = text.lines().enumerate().filter(|(index, _)| *index + 1 != number);
        lines.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    for (damaged, line) in [(text.replace("line 1", "line X"), 3), (without(3), 3)] {
        fs::write(&segment, damaged).unwrap();
        let told = house.open_with("a", SEGMENT_SIZE).unwrap_err().to_string();
        assert!(told.contains(&format!("00000001.jsonl:{line}: ")), "{told}");
        assert!(told.contains("audit verify"), "{told}");
        assert!(!house.verify("a").problems.is_empty());
    }
}

#[tokio::test]
async fn a_segment_that_is_missing_shows() {
    let house = House::new();
    let log = house.open_with("a", 1000).unwrap();
    some_lines(&log, 20).await;
    drop(log);
    for (missing, told) in
        [(1, "segment 00000001.jsonl is missing"), (2, "segment 00000002.jsonl is missing")]
    {
        let aside = house.path("aside");
        fs::rename(house.segment("a", missing), &aside).unwrap();
        let wrong = problems(&house.verify("a"));
        assert!(wrong.iter().any(|problem| problem.contains(told)), "{wrong:?}");
        fs::rename(aside, house.segment("a", missing)).unwrap();
    }
    assert_eq!(problems(&house.verify("a")), Vec::<String>::new());
}

#[tokio::test]
async fn chains_that_name_each_other_show_when_one_is_missing_cut_off_or_written_anew() {
    let house = House::new();
    let one = house.open("one");
    some_lines(&one, 3).await;
    let seen = one.head();
    let two = house.open("two");
    let link = AuditRecord { links: vec![seen.clone()], event: AuditEvent::TookOver, ..record("took over") };
    two.append(link).await.unwrap();
    some_lines(&one, 1).await;
    drop((one, two));
    let compared = |names: &[&str]| -> Vec<String> {
        let chains: Vec<Chain> = names.iter().map(|name| house.verify(name)).collect();
        compare(&chains, &[]).unwrap().iter().map(ToString::to_string).collect()
    };
    assert_eq!(compared(&["one", "two"]), Vec::<String>::new());
    let missing = compared(&["two"]);
    assert!(missing[0].contains(&format!("chain {} is missing", seen.chain)), "{missing:?}");
    assert!(compared(&["one", "one"])[0].contains("is there twice"));

    let segment = house.segment("one", 1);
    let text = fs::read_to_string(&segment).unwrap();
    let first: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    fs::write(&segment, &first).unwrap();
    assert!(compared(&["one", "two"])[0].contains("is cut off: line 4 was seen, and it ends with line 2"));
    // Whoever can write the file can go on with the chain otherwise, and every line of it will be right.
    let again = house.open("one");
    for number in 0..4 {
        again.append(record(&format!("another line {number}"))).await.unwrap();
    }
    drop(again);
    assert_eq!(problems(&house.verify("one")), Vec::<String>::new());
    let forked = compared(&["one", "two"]);
    assert!(forked[0].contains("is forked or was written anew: its line 4"), "{forked:?}");
    let witness = Witness { at: "environment default/home".to_owned(), head: Head { sequence: 99, ..seen } };
    let told = compare(&[house.verify("one")], &[witness]).unwrap();
    assert!(told[0].to_string().starts_with("environment default/home: chain one-"), "{told:?}");
}

#[tokio::test]
async fn whoever_waits_while_others_are_written_shares_their_sync() {
    let house = House::new();
    let log = house.open("a");
    let probes = join_all((0..8).map(|_| log.ready())).await;
    assert!(probes.into_iter().all(|ready| ready.is_ok()));
    let appended = join_all((0..64).map(|number| log.append(outcome(&format!("{number}"))))).await;
    assert!(appended.into_iter().all(|appended| appended.is_ok()));
    assert_eq!(log.head().sequence, 65);
}

mod of_the_writer {
    //! Failures of the disk, by files whose writes really fail.

    use super::*;

    fn writer(house: &House) -> Writer {
        let path = house.path("a");
        drop(segments::take(&path).unwrap());
        Writer::open(&path, "a-1".to_owned(), SEGMENT_SIZE, |_| vec![]).unwrap()
    }

    fn device(path: &str) -> File {
        fs::OpenOptions::new().read(true).append(true).open(path).unwrap()
    }

    #[test]
    fn after_a_write_that_failed_the_next_one_stands_where_it_would_have_stood() {
        let house = House::new();
        let mut writer = writer(&house);
        assert!(writer.append(&[outcome("before")])[0].is_ok());
        let real = writer.swap_file(device("/dev/full"));
        let told = writer.append(&[outcome("lost")])[0].clone().unwrap_err();
        assert_eq!(told.kind, io::ErrorKind::StorageFull);
        let before = writer.head().clone();
        writer.swap_file(real);
        assert!(writer.append(&[outcome("after")])[0].is_ok());
        assert_eq!(writer.head().sequence, before.sequence + 1);
        let chain = house.verify("a");
        assert_eq!(
            (problems(&chain), house.messages("a")),
            (vec![], vec!["before".to_owned(), "after".to_owned()])
        );
    }

    #[test]
    fn after_a_sync_that_failed_nothing_is_written_before_the_file_was_read_again() {
        let house = House::new();
        let mut writer = writer(&house);
        assert!(writer.append(&[outcome("before")])[0].is_ok());
        // It takes every byte and can't sync any.
        writer.swap_file(device("/dev/null"));
        assert!(writer.append(&[outcome("lost")])[0].is_err());
        let segment = house.segment("a", 1);
        let whole = fs::read(&segment).unwrap();
        // Half of what was lost has come to the disk all the same.
        fs::write(&segment, [&whole[..], b"{\"sequence\":2,\"chain\":\"a-1\""].concat()).unwrap();
        assert!(writer.append(&[outcome("after")])[0].is_ok());
        assert_eq!((problems(&house.verify("a")), house.messages("a").len()), (vec![], 2));
        // What was on disk is not there any more: nothing is built on that.
        writer.swap_file(device("/dev/null"));
        assert!(writer.append(&[outcome("lost")])[0].is_err());
        fs::write(&segment, &whole[..whole.len() / 2]).unwrap();
        for _ in 0..2 {
            let told = writer.append(&[outcome("never")])[0].clone().unwrap_err();
            assert!(told.why.contains("not what was written last"), "{}", told.why);
        }
    }

    #[test]
    fn where_nothing_can_be_set_aside_only_the_outcome_of_a_call_is_tried() {
        let house = House::new();
        let mut writer = writer(&house);
        writer.swap_file(device("/dev/full"));
        let intent = AuditRecord { event: AuditEvent::Intent, ..outcome("next") };
        let answers = writer.append(&[intent, outcome("of the one before")]);
        let told: Vec<String> = answers.into_iter().map(|answer| answer.unwrap_err().why).collect();
        assert!(told[0].contains("no room is left but for the outcomes"), "{told:?}");
        assert!(told[1].contains("No space left"), "{told:?}");
    }

    #[test]
    fn room_is_set_aside_behind_the_end_without_the_file_getting_longer() {
        let house = House::new();
        let mut writer = writer(&house);
        assert!(writer.append(&[record("one")])[0].is_ok());
        let found = fs::metadata(house.segment("a", 1)).unwrap();
        let on_disk = std::os::unix::fs::MetadataExt::blocks(&found) * 512;
        assert!(found.len() < 4096 && on_disk >= room::RESERVE, "{} bytes in {on_disk}", found.len());
    }

    #[test]
    fn where_no_file_can_be_made_the_reason_is_told_and_not_that_there_is_none_to_remove() {
        // Whoever one is, the kernel lets nobody make a file there.
        let told = writer::try_in(Path::new("/sys")).unwrap_err();
        assert_ne!(told.kind(), io::ErrorKind::NotFound, "{told}");
    }

    #[test]
    fn a_record_too_large_to_be_kept_does_not_take_the_others_with_it() {
        let house = House::new();
        let mut writer = writer(&house);
        let large = record(&"x".repeat(crate::core::audit::LARGEST_LINE));
        let answers = writer.append(&[record("one"), large, record("two")]);
        assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!((problems(&house.verify("a")), house.messages("a").len()), (vec![], 2));
    }
}
