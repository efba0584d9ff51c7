//! `system.users`: who is logged in, from the files that `systemd-logind` keeps below `/run/systemd/sessions`, one per
//! session. They are what its library reads; asking over D-Bus would say the same and need its socket.

use std::net::IpAddr;

use crate::event::Event;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Session {
    uid: Option<u32>,
    user: Option<String>,
    kind: Option<String>,
    service: Option<String>,
    state: Option<String>,
    scope: Option<String>,
    seat: Option<String>,
    leader: Option<u64>,
    is_remote: bool,
    remote_host: Option<String>,
}

/// `None` for a file that names no user: it is just being written, or none of a session.
pub(super) fn parse(file: &str) -> Option<Session> {
    let mut session = Session::default();
    for (key, value) in file.lines().filter_map(|line| line.split_once('=')) {
        let text = || Some(unquote(value)).filter(|text| !text.is_empty());
        match key {
            "UID" => session.uid = value.parse().ok(),
            "USER" => session.user = text(),
            "TYPE" => session.kind = text(),
            "SERVICE" => session.service = text(),
            "STATE" => session.state = text(),
            "SCOPE" => session.scope = text(),
            "SEAT" => session.seat = text(),
            "LEADER" => session.leader = value.parse().ok(),
            "REMOTE" => session.is_remote = value == "1",
            "REMOTE_HOST" => session.remote_host = text(),
            _ => {}
        }
    }
    session.user.is_some().then_some(session)
}

/// Values are escaped with backslashes where they hold anything but plain letters, and may stand in quotes.
fn unquote(value: &str) -> String {
    let value = value.trim().trim_matches('"');
    let mut plain = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' {
            letters.next()
        } else {
            Some(letter)
        });
    }
    plain
}

pub(super) fn document(event: Event, id: &str, session: &Session) -> Event {
    let remote_host = session.remote_host.as_deref();
    let address = remote_host.and_then(|host| host.parse::<IpAddr>().ok());
    event
        .with("system.users.id", id)
        .with("system.users.path", object_path(id))
        .with("system.users.remote", session.is_remote)
        .with_some("system.users.remote_host", remote_host)
        .with_some("system.users.type", session.kind.as_deref())
        .with_some("system.users.service", session.service.as_deref())
        .with_some("system.users.state", session.state.as_deref())
        .with_some("system.users.scope", session.scope.as_deref())
        .with_some("system.users.seat", session.seat.as_deref())
        .with_some("system.users.leader", session.leader)
        .with_some("process.pid", session.leader)
        .with_some("user.name", session.user.as_deref())
        .with_some("user.id", session.uid.map(|uid| uid.to_string()))
        .with_some("source.ip", address.map(|address| address.to_string()))
}

/// Under which the session is known on D-Bus: a digit at the beginning, and all but letters and digits, as `_` and two
/// hexadecimal digits.
fn object_path(id: &str) -> String {
    let mut path = String::from("/org/freedesktop/login1/session/");
    for (at, byte) in id.bytes().enumerate() {
        match byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit()) {
            true => path.push(char::from(byte)),
            false => path.push_str(&format!("_{byte:02x}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::host::tests::blank;

    const FILE: &str = "# This is private data. Do not parse.\nUID=1000\nUSER=alexk\nACTIVE=1\nIS_DISPLAY=1\nSTATE=active\nREMOTE=1\nTYPE=tty\nCLASS=user\nSCOPE=session-6.scope\nREMOTE_HOST=192.0.2.86\nSERVICE=sshd\nLEADER=10786\nAUDIT=6\nREALTIME=1571678901\n";

    #[test]
    fn a_session_over_the_network() {
        let session = parse(FILE).unwrap();
        let document = document(blank(), "6", &session).document;
        let get = |field: &str| document.get_str(field);
        assert_eq!(get("system.users.id"), Some("6"));
        assert_eq!(
            get("system.users.path"),
            Some("/org/freedesktop/login1/session/_36")
        );
        assert_eq!(get("system.users.remote_host"), Some("192.0.2.86"));
        assert_eq!(get("source.ip"), Some("192.0.2.86"));
        assert_eq!(get("user.id"), Some("1000"));
        assert_eq!(document.get_u64("process.pid"), Some(10_786));
        assert_eq!(document.get_bool("system.users.remote"), Some(true));
        assert_eq!(document.get("system.users.seat"), None);
    }

    #[test]
    fn hosts_with_names_and_files_of_no_session() {
        let text = "USER=\"odd\\ one\"\nREMOTE_HOST=gate.example.org\nLEADER=x\nUID=-1\n";
        let session = parse(text).unwrap();
        assert_eq!(session.user.as_deref(), Some("odd one"));
        let document = document(blank(), "c2", &session).document;
        assert_eq!(document.get("source.ip"), None);
        assert_eq!(
            document.get_str("system.users.path"),
            Some("/org/freedesktop/login1/session/c2")
        );
        assert_eq!(parse(""), None);
        assert_eq!(parse("UID=1000\n"), None);
    }
}
