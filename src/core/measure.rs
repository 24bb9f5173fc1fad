//! Sizes and ages as people read them.

use jiff::Timestamp;

/// Such as `3.1 GiB`.
pub fn size(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..0x4000_0000 => format!("{} MiB", bytes >> 20),
        0x4000_0000..0x100_0000_0000 => format!("{} GiB", tenths(1 << 30)),
        _ => format!("{} TiB", tenths(1 << 40)),
    }
}

/// The bytes of Proxmox's `32G`; `None` for what is no size.
pub fn bytes(size: &str) -> Option<u64> {
    let digits = size.trim_end_matches(['K', 'M', 'G', 'T']);
    let shift = match &size[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// How long something is ago, such as `3 days`.
pub fn age(now: Timestamp, then: i64) -> String {
    let seconds = now.as_second().saturating_sub(then).max(0);
    match seconds {
        0..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_told_in_the_unit_that_fits() {
        assert_eq!([size(512 << 20), size(3_300_000_000), size(5 << 40)], ["512 MiB", "3.0 GiB", "5.0 TiB"]);
        let now = Timestamp::from_second(1_000_000).unwrap();
        assert_eq!([age(now, 999_000), age(now, 990_000), age(now, 0)], ["16 minutes", "2 hours", "11 days"]);
        assert_eq!(age(now, 2_000_000), "0 minutes");
    }

    #[test]
    fn a_size_is_read_in_proxmox_s_units_and_nothing_else_is() {
        assert_eq!(bytes("32G"), Some(32 << 30));
        assert_eq!(bytes("528K"), Some(528 << 10));
        for none in ["", "G", "3GG", "3X", "-1G", "99999999999999T", "3é"] {
            assert_eq!(bytes(none), None, "{none}");
        }
    }
}
