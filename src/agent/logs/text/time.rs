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
    /// The wall clock showed this time twice; `at` is the earlier one.
    pub(in crate::agent::logs) is_ambiguous: bool,
}

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
        (reference.year() - 8..=reference.year() + 1)
            .rev()
            .find_map(|year| {
                let date = NaiveDate::from_ymd_opt(year, month, day)?;
                // No zone is so far from UTC: most often the coming year is out of the question.
                if date > latest.date_naive() + TimeDelta::days(1) {
                    return None;
                }
                self.resolve(date.and_time(time))
                    .filter(|resolved| resolved.at <= latest)
            })
    }
}

fn resolve_in<Z: TimeZone>(zone: &Z, wall: NaiveDateTime) -> Option<LogTime> {
    let utc = |time: DateTime<Z>| time.with_timezone(&Utc);
    match zone.from_local_datetime(&wall) {
        MappedLocalTime::Single(time) => Some(LogTime {
            at: utc(time),
            is_ambiguous: false,
        }),
        MappedLocalTime::Ambiguous(earlier, _) => Some(LogTime {
            at: utc(earlier),
            is_ambiguous: true,
        }),
        // A time that the clock skipped: a clock not yet put forward shows it.
        MappedLocalTime::None => {
            let hour = TimeDelta::hours(1);
            let before = zone.from_local_datetime(&(wall - hour)).earliest()?;
            Some(LogTime {
                at: utc(before) + hour,
                is_ambiguous: true,
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

/// RFC 3339 and its cousins: a blank for the `T`, a comma for the dot, a zone or none.
pub(in crate::agent::logs) fn parse_full(text: &str, zone: Zone) -> Option<LogTime> {
    let is_of_time = |byte: &u8| byte.is_ascii_digit() || b"-+:., TtZz".contains(byte);
    if !text.as_bytes().iter().all(is_of_time) {
        return None;
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(LogTime {
            at: time.with_timezone(&Utc),
            is_ambiguous: false,
        });
    }
    let text = text.replacen(',', ".", 1).replacen('T', " ", 1);
    if let Ok(time) = DateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f%:z") {
        return Some(LogTime {
            at: time.with_timezone(&Utc),
            is_ambiguous: false,
        });
    }
    zone.resolve(NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").ok()?)
}

/// `15:15:05.000`
pub(in crate::agent::logs) fn time_of_day(text: &str) -> Option<NaiveTime> {
    let &[h1, h2, b':', m1, m2, b':', s1, s2, b'.', f1, f2, f3] = text.as_bytes() else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |number, digit| {
            digit
                .is_ascii_digit()
                .then(|| number * 10 + u32::from(digit - b'0'))
        })
    };
    let (hour, minute) = (number(&[h1, h2])?, number(&[m1, m2])?);
    let (second, ms) = (number(&[s1, s2])?, number(&[f1, f2, f3])?);
    match second {
        // A leap second.
        60 => NaiveTime::from_hms_milli_opt(hour, minute, 59, 1_000 + ms),
        _ => NaiveTime::from_hms_milli_opt(hour, minute, second, ms),
    }
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
        assert_eq!(
            time_of_day("23:59:08.250"),
            NaiveTime::from_hms_milli_opt(23, 59, 8, 250)
        );
        assert!(time_of_day("23:59:60.250").is_some());
        for no_time in [
            "24:00:00.000",
            "1:2:3.000",
            "12:34:56,789",
            "12:34:5x.789",
            "é2:34:56.78",
        ] {
            assert_eq!(time_of_day(no_time), None, "{no_time}");
        }
        assert!(serde_json::from_str::<Zone>("\"Mars\"").is_err());
    }
}
