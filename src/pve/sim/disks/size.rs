//! Sizes as configurations write them.

const UNITS: [(char, u64); 4] = [('T', 1 << 40), ('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

/// `32G` in bytes; a number without a unit is bytes.
pub(in crate::pve::sim) fn parse_size(text: &str) -> Option<u64> {
    let unit = UNITS.iter().find(|(letter, _)| text.ends_with(*letter));
    let number: f64 = text.trim_end_matches(['K', 'M', 'G', 'T']).parse().ok()?;
    // Sizes are far below the point where a float would lose a byte.
    Some((number * unit.map_or(1, |(_, factor)| *factor) as f64).round() as u64)
}

/// The largest unit in which the size is a whole number, but never bytes: a started KiB counts.
pub(in crate::pve::sim) fn format_size(bytes: u64) -> String {
    let whole = UNITS.iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    match whole {
        Some((letter, factor)) => format!("{}{letter}", bytes / factor),
        None => format!("{}K", bytes.div_ceil(1 << 10)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_written_in_its_largest_whole_unit() {
        assert_eq!(format_size(1 << 30), "1G");
        assert_eq!(format_size(512 << 20), "512M");
        assert_eq!(format_size(21_764_096), "21254K");
        assert_eq!(format_size(107_374_592), "104858K");
    }

    #[test]
    fn fractions_of_a_unit_are_understood() {
        assert_eq!(parse_size("0.5G"), Some(512 << 20));
        assert_eq!(parse_size("1536M"), Some(3 << 29));
        assert_eq!(parse_size("lots"), None);
    }
}
