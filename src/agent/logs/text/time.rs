//! Times as clients print them: without a zone, without a year, or whole.

use chrono::{
    DateTime, Datelike, FixedOffset, Local, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime,
    TimeDelta, TimeZone, Utc,
};
use serde::{Deserialize, Deserializer};

/// What a time without a zone means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// The host's own.
    Local,
    Utc,
    Fixed(FixedOffset),
}

/// A resolved time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agent::logs) struct LogTime {
    pub(in crate::agent::logs) at: DateTime<Utc>,
    pub(in crate::agent::logs) doubt: Option<Doubt>,
}

/// Why a time may be another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agent::logs) enum Doubt {
    /// The wall clock showed this time twice, or never; the earlier one is taken.
    Ambiguous,
    /// No date was printed: that of the last writing is taken, or the day before.
    Date,
}

impl Doubt {
    /// `ethereum.log.time_source`
    pub(in crate::agent::logs) fn name(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::Date => "date_of_file",
        }
    }
}

impl LogTime {
    fn certain(at: DateTime<Utc>) -> Self {
        Self { at, doubt: None }
    }
}

/// A clock that is ahead of the one the file's time was taken from, and a file read while it is written.
const CLOCK_SLACK: TimeDelta = TimeDelta::hours(1);

impl Zone {
    pub(in crate::agent::logs) fn resolve(self, wall: NaiveDateTime) -> Option<LogTime> {
        match self {
            Self::Local => resolve_in(&Local, wall),
            Self::Utc => resolve_in(&Utc, wall),
            Self::Fixed(offset) => resolve_in(&offset, wall),
        }
    }

    /// A time whose year was not printed: the year of `reference` (when the line was read, or the file last written),
    /// or the one before where that would lie more than a day ahead.
    pub(in crate::agent::logs) fn resolve_yearless(
        self,
        (month, day): (u32, u32),
        time: NaiveTime,
        reference: DateTime<Utc>,
    ) -> Option<LogTime> {
        let latest = reference + TimeDelta::days(1);
        // The zone may already be in the next year; 29 February may lie eight years back.
        let last_year = (latest + TimeDelta::days(1)).year();
        (last_year - 9..=last_year).rev().find_map(|year| {
            let date = NaiveDate::from_ymd_opt(year, month, day)?;
            // No zone is so far from UTC: most often the coming year is out of the question.
            if date > latest.date_naive() + TimeDelta::days(1) {
                return None;
            }
            self.resolve(date.and_time(time))
                .filter(|resolved| resolved.at <= latest)
        })
    }

    /// A time whose date was not printed: the latest that is not after `reference`.
    pub(in crate::agent::logs) fn resolve_dateless(
        self,
        time: NaiveTime,
        reference: DateTime<Utc>,
    ) -> Option<LogTime> {
        let latest = reference + CLOCK_SLACK;
        let tomorrow = reference.date_naive().succ_opt()?;
        // The zone may be a day ahead of or behind UTC.
        let days = std::iter::successors(Some(tomorrow), NaiveDate::pred_opt).take(4);
        let mut times = days.filter_map(|day| self.resolve(day.and_time(time)));
        let found = times.find(|resolved| resolved.at <= latest)?;
        Some(LogTime {
            at: found.at,
            doubt: Some(Doubt::Date),
        })
    }
}

fn resolve_in<Z: TimeZone>(zone: &Z, wall: NaiveDateTime) -> Option<LogTime> {
    let utc = |time: DateTime<Z>| time.with_timezone(&Utc);
    match zone.from_local_datetime(&wall) {
        MappedLocalTime::Single(time) => Some(LogTime::certain(utc(time))),
        MappedLocalTime::Ambiguous(earlier, _) => Some(LogTime {
            at: utc(earlier),
            doubt: Some(Doubt::Ambiguous),
        }),
        // A time that the clock skipped: a clock not yet put forward shows it.
        MappedLocalTime::None => {
            let hour = TimeDelta::hours(1);
            let before = zone.from_local_datetime(&(wall - hour)).earliest()?;
            Some(LogTime {
                at: utc(before) + hour,
                doubt: Some(Doubt::Ambiguous),
            })
        }
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.to_ascii_lowercase().as_str() {
            "local" => return Ok(Self::Local),
            "utc" => return Ok(Self::Utc),
            _ => {}
        }
        text.parse().map(Self::Fixed).map_err(|_| {
            serde::de::Error::custom(format!(
                "not a zone: {text:?}, expected \"local\", \"UTC\" or an offset as \"+02:00\""
            ))
        })
    }
}

/// A date and time as printed, and its own offset where that was printed too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agent::logs) struct Printed {
    wall: NaiveDateTime,
    offset: Option<FixedOffset>,
}

impl Printed {
    pub(in crate::agent::logs) fn resolve(self, zone: Zone) -> Option<LogTime> {
        match self.offset {
            Some(offset) => Some(LogTime::certain((self.wall - offset).and_utc())),
            None => zone.resolve(self.wall),
        }
    }
}

/// RFC 3339 and its cousins at the beginning of a text, and the rest: a blank for the `T`, a comma for the dot,
/// `+0200` for `+02:00`, or no zone. Fractions beyond the nanosecond are cut.
pub(in crate::agent::logs) fn full(text: &str) -> Option<(Printed, &str)> {
    let date = text.as_bytes().first_chunk::<11>()?;
    if date[4] != b'-' || date[7] != b'-' || !matches!(date[10], b'T' | b' ') {
        return None;
    }
    let year = digits(&date[..4])?;
    let day = NaiveDate::from_ymd_opt(
        year.try_into().ok()?,
        digits(&date[5..7])?,
        digits(&date[8..10])?,
    )?;
    let (time, rest) = clock(&text[11..])?;
    let (offset, rest) = match offset(rest) {
        Some((offset, rest)) => (Some(offset), rest),
        None => (None, rest),
    };
    let wall = day.and_time(time);
    Some((Printed { wall, offset }, rest))
}

/// As [`full`], where nothing may follow.
pub(in crate::agent::logs) fn parse_full(text: &str, zone: Zone) -> Option<LogTime> {
    let (printed, rest) = full(text)?;
    if !rest.is_empty() {
        return None;
    }
    printed.resolve(zone)
}

/// `HH:MM:SS` with or without a fraction, and the rest.
pub(in crate::agent::logs) fn clock(text: &str) -> Option<(NaiveTime, &str)> {
    let clock = text.as_bytes().first_chunk::<8>()?;
    if clock[2] != b':' || clock[5] != b':' {
        return None;
    }
    let (hour, minute) = (digits(&clock[..2])?, digits(&clock[3..5])?);
    let second = digits(&clock[6..])?;
    let rest = &text.as_bytes()[8..];
    let mut nanos = 0;
    let mut used = 8;
    if let Some(b'.' | b',') = rest.first() {
        let fraction = rest[1..].iter().take_while(|byte| byte.is_ascii_digit());
        let mut unit = 100_000_000;
        let mut count = 0;
        for byte in fraction {
            nanos += u32::from(byte - b'0') * unit;
            unit /= 10;
            count += 1;
        }
        // A full stop or a comma of the sentence is no fraction.
        used += if count > 0 { 1 + count } else { 0 };
    }
    let time = match second {
        // A leap second.
        60 => NaiveTime::from_hms_nano_opt(hour, minute, 59, 1_000_000_000 + nanos)?,
        _ => NaiveTime::from_hms_nano_opt(hour, minute, second, nanos)?,
    };
    Some((time, &text[used..]))
}

/// `Z`, `+02:00` or `+0200`.
fn offset(text: &str) -> Option<(FixedOffset, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((FixedOffset::east_opt(0)?, rest));
    }
    let bytes = text.as_bytes();
    let sign = match bytes.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = digits(bytes.get(1..3)?)?;
    let minutes_at = if bytes.get(3) == Some(&b':') { 4 } else { 3 };
    let minutes = digits(bytes.get(minutes_at..minutes_at + 2)?)?;
    let seconds = i32::try_from(hours * 3_600 + minutes * 60).ok()?;
    Some((
        FixedOffset::east_opt(sign * seconds)?,
        &text[minutes_at + 2..],
    ))
}

/// `Mar 14 21:40:11.006`: month and day, time, and the rest. The day may have one digit, after one blank or two.
pub(in crate::agent::logs) fn month_day(text: &str) -> Option<((u32, u32), NaiveTime, &str)> {
    let month = month(text.get(..3)?)?;
    let rest = text[3..].strip_prefix(' ')?.trim_start_matches(' ');
    let (day, rest) = rest.split_once(' ')?;
    let (time, rest) = clock(rest)?;
    Some(((month, digits(day.as_bytes())?), time, rest))
}

/// `12-04|22:40:27.798`: month and day, time, and the rest.
pub(in crate::agent::logs) fn month_bar_clock(text: &str) -> Option<((u32, u32), NaiveTime, &str)> {
    let date = text.as_bytes().first_chunk::<6>()?;
    if date[2] != b'-' || date[5] != b'|' {
        return None;
    }
    let day = (digits(&date[..2])?, digits(&date[3..5])?);
    let (time, rest) = clock(&text[6..])?;
    Some((day, time, rest))
}

/// One or two digits, or four.
pub(in crate::agent::logs) fn digits(bytes: &[u8]) -> Option<u32> {
    if bytes.is_empty() || bytes.len() > 4 {
        return None;
    }
    let mut number = 0;
    for byte in bytes {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u32::from(byte - b'0');
    }
    Some(number)
}

/// `Jan` … `Dec` as 1 … 12.
pub(in crate::agent::logs) fn month(name: &str) -> Option<u32> {
    const MONTHS: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let name: &[u8; 3] = name.as_bytes().try_into().ok()?;
    let index = MONTHS.iter().position(|month| *month == name)?;
    u32::try_from(index + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn yearless(month: u32, day: u32, reference: &str) -> DateTime<Utc> {
        let noon = NaiveTime::from_hms_opt(12, 0, 0).unwrap();
        Zone::Utc
            .resolve_yearless((month, day), noon, at(reference))
            .unwrap()
            .at
    }

    #[test]
    fn the_year_is_that_of_the_reading_or_the_one_before() {
        assert_eq!(
            yearless(11, 21, "2026-11-21T12:00:05Z"),
            at("2026-11-21T12:00:00Z")
        );
        assert_eq!(
            yearless(12, 31, "2027-01-01T00:00:05Z"),
            at("2026-12-31T12:00:00Z")
        );
        assert_eq!(
            yearless(1, 1, "2026-12-31T23:59:59Z"),
            at("2027-01-01T12:00:00Z"),
            "a clock slightly ahead"
        );
        assert_eq!(
            yearless(2, 29, "2028-02-29T12:00:05Z"),
            at("2028-02-29T12:00:00Z")
        );
        assert_eq!(
            yearless(2, 29, "2027-06-01T00:00:00Z"),
            at("2024-02-29T12:00:00Z")
        );
    }

    #[test]
    fn whole_times_with_and_without_zone() {
        let zone: Zone = serde_json::from_str("\"+02:00\"").unwrap();
        for (text, expected) in [
            ("2022-10-26 18:57:35.000+02:00", "2022-10-26T16:57:35Z"),
            ("2025-04-28T14:37:30,943", "2025-04-28T12:37:30.943Z"),
            ("2023-05-19 23:28:57", "2023-05-19T21:28:57Z"),
            ("2024-10-12T11:54:53.867657Z", "2024-10-12T11:54:53.867657Z"),
        ] {
            assert_eq!(
                parse_full(text, zone).map(|time| time.at),
                Some(at(expected)),
                "{text}"
            );
        }
        assert_eq!(parse_full("yesterday", zone), None);
        assert!(clock("23:59:60.250").is_some(), "a leap second");
        for no_time in ["24:00:00.000", "1:2:3.000", "12:34:5x.789", "é2:34:56.78"] {
            assert_eq!(clock(no_time), None, "{no_time}");
        }
        assert!(serde_json::from_str::<Zone>("\"Mars\"").is_err());
    }
}
