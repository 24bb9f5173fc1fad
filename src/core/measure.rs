//! Sizes and ages as people read them.

use jiff::Timestamp;

/// Such as `3.1 GiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (bytes.max(1).ilog2() / 10).min(4);
    let whole = bytes >> (10 * unit);
    let tenth = if unit == 0 { 0 } else { ((bytes >> (10 * (unit - 1))) & 1023) * 10 / 1024 };
    let unit = UNITS.get(unit as usize).copied().unwrap_or_default();
    if tenth == 0 { format!("{whole} {unit}") } else { format!("{whole}.{tenth} {unit}") }
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
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (34_359_738_368, "32 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
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
