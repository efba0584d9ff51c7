//! What can happen to the files, the agent and the server.

use std::time::Duration;

use crate::server::fault::Weather;

/// How rotated files are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// `node.log.1`, and the one before becomes `node.log.2`.
    Numbered,
    /// `node.log-20261101`
    Dated,
    /// `old/node.log.1`, counted upwards.
    Moved,
}

/// What a program writes first into every file it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Banner {
    None,
    /// The same in every file of this name.
    Own,
    /// The same in all files.
    Common,
}

#[derive(Debug, Clone)]
pub(super) enum FileStep {
    Write {
        lines: usize,
        line_bytes: usize,
    },
    /// One line at a time, in pieces.
    Trickle {
        lines: usize,
        pause: Duration,
    },
    /// Half a line, and the other half after a pause.
    Halves {
        pause: Duration,
    },
    /// The program goes on in the renamed file for some lines before it opens a new one, after a gap without any.
    Rename {
        gap: Duration,
        late_lines: usize,
        in_a_line: bool,
    },
    /// Copied in pieces, with a pause before each; nothing is written meanwhile.
    CopyTruncate {
        piece_bytes: usize,
        pause: Duration,
    },
    /// A rotated file becomes a packed one, as `gzip` does it: beside it, with its time, and then it goes.
    Pack {
        age: u32,
        pause: Duration,
    },
    /// Deleted once all of it is stored, and made anew at once.
    Recreate,
    /// Cut to nothing once all of it is stored.
    Truncate,
    /// As if it had been written then.
    Touch {
        seconds: i64,
    },
}

#[derive(Debug, Clone)]
pub(super) enum AgentStep {
    Kill {
        down: Duration,
    },
    /// When a request was stored and its answer is on the way.
    KillUnanswered {
        down: Duration,
    },
    /// As the service manager does.
    Stop {
        down: Duration,
    },
    Freeze(Duration),
    /// It takes over its configuration anew.
    Reload,
    /// So far from the true time.
    SetClock {
        seconds: i64,
    },
}

#[derive(Debug, Clone)]
pub(super) enum SkyStep {
    Weather(Weather),
    Down { host: usize, for_: Duration },
    Rollover,
}
