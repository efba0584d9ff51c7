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
        const LONGEST: usize = "information".len();
        let mut lower = [0; LONGEST];
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
