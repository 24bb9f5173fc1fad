//! How Proxmox writes what is more than one word.

/// Lists are written with commas, semicolons or blanks between the items.
pub fn split_list(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';', ' ', '\t', '\n', '\0']).filter(|item| !item.is_empty())
}

/// One segment of a path: whatever is in the text, it stays within its place.
pub fn path_segment(text: &str) -> String {
    percent_encoded(text, b"-._~:@!")
}

/// Escapes every byte that is no letter, no digit and not among these.
pub(super) fn percent_encoded(text: &str, plain: &[u8]) -> String {
    text.bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_stays_in_its_place() {
        assert_eq!(
            path_segment("UPID:pve1:a:b:c:imgcopy:214-unused0>212:root@pam!x:"),
            "UPID:pve1:a:b:c:imgcopy:214-unused0%3E212:root@pam!x:"
        );
        assert_eq!(path_segment("../a/é?b#c d%"), "..%2Fa%2F%C3%A9%3Fb%23c%20d%25");
    }

    #[test]
    fn a_list_may_be_parted_in_each_of_proxmox_s_ways() {
        assert_eq!(split_list("a,b;c d,, e").collect::<Vec<_>>(), ["a", "b", "c", "d", "e"]);
        assert_eq!(split_list("").count(), 0);
    }
}
