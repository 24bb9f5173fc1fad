//! When hours of the week begin and end, wherever the clock on the wall is put forward or back.

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Time},
    tz::TimeZone,
};

use crate::api::{Weekday, WeeklyHours};

/// When the hours end that it is in, if it is in them. Where the clock on the wall shows an hour twice or never, they
/// begin as early and end as late as they could.
pub(super) fn until(hours: &WeeklyHours, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let today = now.to_zoned(zone.clone()).date();
    // Whatever is going on has begun at most two days ago, by any clock.
    let days = (-2..=1).filter_map(|days: i64| today.checked_add(days.days()).ok());
    let begun = days.filter(|day| hours.days.iter().any(|wanted| of(*wanted) == day.weekday()));
    let spans = begun.filter_map(|day| span(hours, day, zone));
    spans.filter(|(from, until)| *from <= now && now < *until).map(|(_, until)| until).max()
}

fn span(hours: &WeeklyHours, day: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
    let (from, until): (Time, Time) = (hours.from.parse().ok()?, hours.until.parse().ok()?);
    let last_day = if until <= from { day.tomorrow().ok()? } else { day };
    let from = zone.to_ambiguous_timestamp(day.to_datetime(from)).earlier().ok()?;
    let until = zone.to_ambiguous_timestamp(last_day.to_datetime(until)).later().ok()?;
    Some((from, until))
}

fn of(day: Weekday) -> jiff::civil::Weekday {
    match day {
        Weekday::Mon => jiff::civil::Weekday::Monday,
        Weekday::Tue => jiff::civil::Weekday::Tuesday,
        Weekday::Wed => jiff::civil::Weekday::Wednesday,
        Weekday::Thu => jiff::civil::Weekday::Thursday,
        Weekday::Fri => jiff::civil::Weekday::Friday,
        Weekday::Sat => jiff::civil::Weekday::Saturday,
        Weekday::Sun => jiff::civil::Weekday::Sunday,
    }
}
