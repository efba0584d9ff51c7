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

impl Level {
    /// A level word of any client, in any case. Lodestar's `verbose` lies between debug and info and counts as debug.
    pub(in crate::agent::logs) fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "trace" | "trce" | "trc" | "silly" | "finest" => Self::Trace,
            "debug" | "debg" | "dbg" | "dbug" | "verbose" => Self::Debug,
            "info" | "inf" | "information" | "note" | "notice" | "not" | "ntc" => Self::Info,
            "warn" | "warning" | "wrn" => Self::Warn,
            "error" | "err" | "erro" | "eror" => Self::Error,
            "critical" | "crit" | "fatal" | "fat" | "panic" | "emergency" | "alert" => {
                Self::Critical
            }
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
