//! The levels of all clients in one scale.

/// `log.level`, least to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::agent::logs) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

/// No level word is longer.
const MAX_LENGTH: usize = 11;

impl Level {
    /// A level word of any client, in any case. Lodestar's `verbose` lies between debug and info and counts as debug.
    pub(in crate::agent::logs) fn parse(word: &str) -> Option<Self> {
        let mut lower = [0; MAX_LENGTH];
        let lower = lower.get_mut(..word.len())?;
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        Some(match &*lower {
            b"trace" | b"trce" | b"trc" | b"silly" | b"finest" => Self::Trace,
            b"debug" | b"debg" | b"dbg" | b"dbug" | b"verbose" => Self::Debug,
            b"info" | b"inf" | b"information" | b"note" | b"notice" | b"not" | b"ntc" => Self::Info,
            b"warn" | b"warning" | b"wrn" => Self::Warn,
            b"error" | b"err" | b"erro" | b"eror" => Self::Error,
            b"critical" | b"crit" | b"fatal" | b"fat" | b"panic" | b"emergency" | b"alert" => {
                Self::Critical
            }
            _ => return None,
        })
    }

    /// A level word at the beginning of a text, and what follows it.
    pub(in crate::agent::logs) fn prefix(text: &str) -> Option<(Self, &str)> {
        let is_letter = |byte: &u8| byte.is_ascii_alphabetic();
        let length = text
            .bytes()
            .take(MAX_LENGTH + 1)
            .take_while(|byte| is_letter(byte))
            .count();
        let (word, rest) = text.split_at(length);
        Some((Self::parse(word)?, rest))
    }

    /// The severities of syslog, as GELF prints them.
    pub(in crate::agent::logs) fn of_syslog(number: i64) -> Option<Self> {
        Some(match number {
            0..=2 => Self::Critical,
            3 => Self::Error,
            4 => Self::Warn,
            5 | 6 => Self::Info,
            7 => Self::Debug,
            _ => return None,
        })
    }

    pub(in crate::agent::logs) fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_all_clients() {
        let words = [
            ("DEBG", Level::Debug),
            ("NTC", Level::Info),
            ("warning", Level::Warn),
            ("EROR", Level::Error),
            ("FAT", Level::Critical),
            ("Information", Level::Info),
        ];
        for (word, level) in words {
            assert_eq!(Level::parse(word), Some(level), "{word}");
        }
        for no_level in ["", "informational", "é", "INFOS"] {
            assert_eq!(Level::parse(no_level), None, "{no_level}");
        }
        assert_eq!(
            Level::prefix("ERROR[06-03|"),
            Some((Level::Error, "[06-03|"))
        );
        assert_eq!(Level::prefix("INFORMATIONEN"), None);
    }
}
