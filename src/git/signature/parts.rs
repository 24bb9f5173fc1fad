//! What of a commit is its signature, and what that is over.

const SIGNATURE: &[u8] = b"gpgsig ";

/// Takes a commit apart as git does: the signature without its indentation, and all of the commit but that. `None` of one
/// that carries none.
///
/// libgit2 would find signatures in what is said as well, and reads on behind objects that are kept in memory alone.
pub(super) fn parts(commit: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut signature, mut signed) = (None::<Vec<u8>>, Vec::with_capacity(commit.len()));
    let (mut rest, mut is_within) = (commit, false);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = rest.split_at(end + 1);
        // After the headers comes what is said.
        if line == b"\n" {
            break;
        }
        match &mut signature {
            Some(signature) if is_within && line.starts_with(b" ") => signature.extend_from_slice(&line[1..]),
            None if line.starts_with(SIGNATURE) => {
                signature = Some(line[SIGNATURE.len()..].to_vec());
                is_within = true;
            }
            _ => {
                signed.extend_from_slice(line);
                is_within = false;
            }
        }
        rest = after;
    }
    signed.extend_from_slice(rest);
    signature.map(|signature| (signature, signed))
}

#[cfg(test)]
mod tests {
    use git2::{ErrorCode, ObjectType, Repository};
    use proptest::prelude::*;

    use super::*;

    const HEADERS: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@example.test> 1 +0000\n\
                           committer A <a@example.test> 1 +0000\n";

    fn any_line() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("gpgsig a".to_owned()),
            Just(" gpgsig b".to_owned()),
            Just(" ".to_owned()),
            Just("encoding x".to_owned()),
            " ?[a-z]{1,3}",
        ]
    }

    proptest! {
        #[test]
        fn headers_are_taken_apart_as_libgit2_does(lines in prop::collection::vec(any_line(), 1..8)) {
            let commit = format!("{HEADERS}{}\n\nsaid\n", lines.join("\n"));
            let folder = tempfile::tempdir().unwrap();
            let repository = Repository::init_bare(folder.path()).unwrap();
            let kept = repository.odb().unwrap().write(ObjectType::Commit, commit.as_bytes()).unwrap();
            let expected = match repository.extract_signature(&kept, None) {
                Ok((signature, signed)) => Some((signature.trim_ascii_end().to_vec(), signed.to_vec())),
                Err(error) if error.code() == ErrorCode::NotFound => None,
                Err(error) => panic!("{error}"),
            };
            let found = parts(commit.as_bytes());
            prop_assert_eq!(found.map(|(mut signature, signed)| {
                signature.truncate(signature.trim_ascii_end().len());
                (signature, signed)
            }), expected);
        }
    }

    #[test]
    fn only_a_header_of_that_name_is_a_signature() {
        for none in ["", "gpgsig a", "tree x\n\ngpgsig y\n", "gpgsig-sha256 a\n", " gpgsig a\n"] {
            assert_eq!(parts(none.as_bytes()), None, "{none}");
        }
        assert_eq!(parts(b"gpgsig a\n b\nc"), Some((b"a\nb\n".to_vec(), b"c".to_vec())));
    }
}
