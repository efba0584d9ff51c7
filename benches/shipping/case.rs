//! What is measured.

use crate::corpus::Kind;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) files: usize,
    pub(crate) lines: usize,
    pub(crate) latency_ms: u64,
    pub(crate) refuse_percent: u64,
    /// Everything was shipped, and nothing more comes.
    pub(crate) idle: bool,
}

const BASE: Case = Case {
    name: "",
    kind: Kind::Lodestar,
    files: 1,
    lines: 600_000,
    latency_ms: 0,
    refuse_percent: 0,
    idle: false,
};

pub(crate) const CASES: [Case; 7] = [
    Case {
        name: "plain",
        kind: Kind::Plain,
        ..BASE
    },
    Case {
        name: "typed",
        ..BASE
    },
    Case {
        name: "files-100",
        files: 100,
        ..BASE
    },
    Case {
        name: "tiny-10000",
        files: 10_000,
        lines: 200_000,
        ..BASE
    },
    Case {
        name: "latency-50ms",
        latency_ms: 50,
        lines: 300_000,
        ..BASE
    },
    Case {
        name: "refused-10%",
        refuse_percent: 10,
        lines: 300_000,
        ..BASE
    },
    Case {
        name: "idle-100",
        files: 100,
        lines: 20_000,
        idle: true,
        ..BASE
    },
];

/// What a case must reach at least, and what it should.
pub(crate) struct Bounds {
    pub(crate) floor: f64,
    pub(crate) goal: f64,
}

pub(crate) const US_PER_EVENT: Bounds = Bounds {
    floor: 4.0,
    goal: 2.0,
};
pub(crate) const TIMES_REFERENCE: Bounds = Bounds {
    floor: 4.0,
    goal: 2.5,
};
pub(crate) const LOADED_MIB: Bounds = Bounds {
    floor: 48.0,
    goal: 24.0,
};
pub(crate) const IDLE_MIB: Bounds = Bounds {
    floor: 16.0,
    goal: 10.0,
};
pub(crate) const IDLE_PERCENT: Bounds = Bounds {
    floor: 0.2,
    goal: 0.05,
};

impl Bounds {
    pub(crate) fn judge(&self, value: f64) -> Verdict {
        if value <= self.goal {
            Verdict::Goal
        } else if value <= self.floor {
            Verdict::Floor
        } else {
            Verdict::Missed
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Goal,
    Floor,
    Missed,
}
