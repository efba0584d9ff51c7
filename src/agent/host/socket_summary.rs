//! `system.socket.summary`: how many sockets are in which state, from [`super::sock_diag`] or
//! `/proc/net/{tcp,udp}{,6}`, and `/proc/net/sockstat`.

use crate::event::Event;

/// States of `include/net/tcp_states.h` in their order, the first being number one; `CLOSE` is counted and not named.
const STATES: [&str; 12] = [
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "",
    "close_wait",
    "last_ack",
    "listening",
    "closing",
    // A request that has no socket yet; the tables print it as number three.
    "",
];

const LISTENING: usize = 9;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sample {
    tcp: u64,
    by_state: [u64; STATES.len()],
    udp: u64,
}

/// What `/proc/net/sockstat` says; memory in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Memory {
    orphans: Option<u64>,
    tcp_pages: Option<u64>,
    udp_pages: Option<u64>,
}

impl Sample {
    /// Counts a line of `/proc/net/tcp` or `tcp6`; the heading is not one.
    pub(super) fn add_tcp(&mut self, line: &[u8]) {
        if let Some(state) = state(line) {
            self.add_tcp_state(state);
        }
    }

    /// Counts a socket by the kernel's number for its state.
    pub(super) fn add_tcp_state(&mut self, state: u8) {
        self.tcp += 1;
        if let Some(counter) = self.by_state.get_mut(usize::from(state).wrapping_sub(1)) {
            *counter += 1;
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.tcp += other.tcp;
        self.udp += other.udp;
        for (counter, more) in self.by_state.iter_mut().zip(other.by_state) {
            *counter += more;
        }
    }

    /// Counts a line of `/proc/net/udp` or `udp6`.
    pub(super) fn add_udp(&mut self, line: &[u8]) {
        self.udp += u64::from(state(line).is_some());
    }
}

/// `   0: 0100007F:A0A8 00000000:0000 0A …`: the fourth column, two hexadecimal digits.
fn state(line: &[u8]) -> Option<u8> {
    let mut columns = line.split(u8::is_ascii_whitespace);
    let state = columns
        .by_ref()
        .filter(|column| !column.is_empty())
        .nth(3)?;
    u8::from_str_radix(std::str::from_utf8(state).ok()?, 16).ok()
}

pub(super) fn parse_memory(sockstat: &str) -> Memory {
    let mut memory = Memory::default();
    for line in sockstat.lines() {
        let mut words = line.split_whitespace();
        let protocol = words.next();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            let field = match (protocol, name) {
                (Some("TCP:"), "orphan") => &mut memory.orphans,
                (Some("TCP:"), "mem") => &mut memory.tcp_pages,
                (Some("UDP:"), "mem") => &mut memory.udp_pages,
                _ => continue,
            };
            *field = value.parse().ok();
        }
    }
    memory
}

pub(super) fn document(event: Event, now: &Sample, memory: Memory, page_bytes: u64) -> Event {
    let bytes = |pages: Option<u64>| Some(pages?.saturating_mul(page_bytes));
    let listening = now.by_state[LISTENING];
    let mut event = event
        .with("system.socket.summary.all.count", now.tcp + now.udp)
        .with("system.socket.summary.all.listening", listening)
        .with("system.socket.summary.tcp.all.count", now.tcp)
        .with_some("system.socket.summary.tcp.all.orphan", memory.orphans)
        .with_some("system.socket.summary.tcp.memory", bytes(memory.tcp_pages))
        .with("system.socket.summary.udp.all.count", now.udp)
        .with_some("system.socket.summary.udp.memory", bytes(memory.udp_pages));
    let states = STATES.iter().zip(now.by_state);
    for (state, count) in states.filter(|(state, _)| !state.is_empty()) {
        let field = format!("system.socket.summary.tcp.all.{state}");
        event.document.set(field, count);
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::agent::host::tests::blank;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue\n   0: 0100007F:A0A8 00000000:0000 0A 00000000:00000000\n   1: 0100007F:A0A8 0100007F:B1B2 01 0\n 100: 0100007F:A0A8 0100007F:B1B3 06 0\n   x\n";

    #[test]
    fn sockets_by_state() {
        let mut sample = Sample::default();
        for line in TCP.lines() {
            sample.add_tcp(line.as_bytes());
        }
        sample.add_udp(b"  12: 00000000:0044 00000000:0000 07 0");
        let memory = parse_memory(
            "sockets: used 143\nTCP: inuse 81 orphan 2 tw 195 alloc 97 mem 7\nUDP: inuse 0 mem x\n",
        );
        let document = document(blank(), &sample, memory, 4_096).document;
        let get = |field: &str| document.get_u64(&format!("system.socket.summary.{field}"));
        assert_eq!(get("all.count"), Some(4));
        assert_eq!(get("all.listening"), Some(1));
        assert_eq!(get("tcp.all.count"), Some(3));
        assert_eq!(get("tcp.all.established"), Some(1));
        assert_eq!(get("tcp.all.time_wait"), Some(1));
        assert_eq!(get("tcp.all.closing"), Some(0));
        assert_eq!(get("tcp.all.orphan"), Some(2));
        assert_eq!(get("tcp.memory"), Some(28_672));
        assert_eq!(get("udp.all.count"), Some(1));
        assert_eq!(get("udp.memory"), None, "a value that is none");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(line in prop::collection::vec(any::<u8>(), 0..80), text in ".{0,80}") {
            let mut sample = Sample::default();
            sample.add_tcp(&line);
            sample.add_udp(&line);
            prop_assert!(sample.tcp <= 1 && sample.udp == sample.tcp);
            parse_memory(&text);
        }
    }
}
