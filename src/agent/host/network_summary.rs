//! `system.network_summary`: the counters of the protocols from `/proc/net/snmp` and `/proc/net/netstat`, under the
//! names the kernel gives them.
//!
//! The template is the list of what is sent: a counter that a newer kernel brings is left out until it stands there.

use crate::event::{DataStream, Event};
use crate::setup;

/// The kernel's tables, and where Metricbeat puts them.
const TABLES: [(&str, &str); 8] = [
    ("Ip", "ip"),
    ("IpExt", "ip"),
    ("Tcp", "tcp"),
    ("TcpExt", "tcp"),
    ("Udp", "udp"),
    ("UdpLite", "udp_lite"),
    ("Icmp", "icmp"),
    ("IcmpMsg", "icmp"),
];

/// Fields with their values. `text` is either file: a line of names, then a line of numbers, each led by the table.
pub(super) fn parse(text: &str) -> Vec<(String, i64)> {
    let mut counters = Vec::new();
    let mut lines = text.lines();
    while let (Some(names), Some(numbers)) = (lines.next(), lines.next()) {
        let (Some((table, names)), Some((same, numbers))) =
            (names.split_once(':'), numbers.split_once(':'))
        else {
            continue;
        };
        let object = TABLES.iter().find(|(name, _)| *name == table);
        let Some((_, object)) = object.filter(|_| table == same) else {
            continue;
        };
        for (name, number) in names.split_whitespace().zip(numbers.split_whitespace()) {
            // Counters are unsigned but for `MaxConn`, where -1 means no limit.
            if let Ok(number) = number.parse() {
                counters.push((format!("system.network_summary.{object}.{name}"), number));
            }
        }
    }
    counters
}

pub(super) fn document(mut event: Event, counters: Vec<(String, i64)>) -> Event {
    for (field, number) in counters {
        if setup::knows(DataStream::SystemNetworkSummary, &field) {
            event.document.set(field, number);
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::agent::host::tests::blank;

    #[test]
    fn tables_are_joined_under_their_protocol() {
        let text = "Tcp: RtoMin MaxConn ActiveOpens\nTcp: 200 -1 17\nTcpExt: SyncookiesSent FromTheFuture\nTcpExt: 5 6\nMPTcpExt: MPJoinSynRx\nMPTcpExt: 1\nUdpLite: InDatagrams NoPorts\nUdpLite: 7\n";
        let document = document(blank(), parse(text)).document;
        let get = |field: &str| {
            let field = document.get(&format!("system.network_summary.{field}"))?;
            field.as_i64()
        };
        assert_eq!(get("tcp.MaxConn"), Some(-1));
        assert_eq!(get("tcp.ActiveOpens"), Some(17));
        assert_eq!(get("tcp.SyncookiesSent"), Some(5));
        assert_eq!(get("tcp.FromTheFuture"), None);
        assert_eq!(get("udp_lite.InDatagrams"), Some(7));
        assert_eq!(get("udp_lite.NoPorts"), None);
    }

    #[test]
    fn a_cut_table_costs_itself() {
        let text = "Ip: Forwarding\nTcp: ActiveOpens\nUdp: NoPorts\nUdp: 3\nIcmp: InMsgs\n";
        let counters = parse(text);
        assert_eq!(
            counters,
            [("system.network_summary.udp.NoPorts".to_owned(), 3)]
        );
    }

    proptest! {
        #[test]
        fn garbage_is_no_counter(text in "(?s)((Tcp|Udp|x|)[: a-z0-9-]{0,12}\n?){0,8}") {
            for (field, _) in parse(&text) {
                prop_assert!(field.starts_with("system.network_summary."));
            }
        }
    }
}
