//! The command line of a process, without its secrets.

use super::ethereum;
use crate::agent::logs::Client;

/// What of a command line is kept: longer values would not be searchable.
const MAX_BYTES: usize = 1_024;

const HIDDEN: &str = "[hidden]";

/// What can be known from a command line alone; read once in a process's life.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::agent::host) struct Command {
    /// The program's file name, which the kernel's own name may cut short.
    pub(in crate::agent::host) name: Option<String>,
    pub(in crate::agent::host) args: Vec<String>,
    pub(in crate::agent::host) line: String,
    pub(in crate::agent::host) client: Option<Client>,
}

impl Command {
    /// `/proc/PID/cmdline`, arguments with a zero byte behind each; empty for the kernel's own threads. `comm` is the
    /// kernel's name for the process.
    pub(in crate::agent::host) fn parse(cmdline: &[u8], comm: &str) -> Self {
        let text = String::from_utf8_lossy(cmdline);
        let args: Vec<&str> = text.trim_end_matches('\0').split('\0').collect();
        let args = if args == [""] { Vec::new() } else { args };
        let client = ethereum::client_of(comm, &args);
        let mut kept = Vec::new();
        let mut bytes = 0;
        let mut is_value_secret = false;
        for arg in &args {
            let shown = match is_value_secret && !is_path(arg) {
                true => HIDDEN.to_owned(),
                false => without_secret(arg),
            };
            is_value_secret = names_secret(arg);
            bytes += shown.len() + 1;
            if bytes > MAX_BYTES + 1 {
                break;
            }
            kept.push(shown);
        }
        let program = args.first().and_then(|program| full_name(program, comm));
        Self {
            name: program,
            line: kept.join(" "),
            args: kept,
            client,
        }
    }
}

/// The file name of `program` where it only goes on from where the kernel cut `comm`: a script's or a thread's own name
/// is another, and stays.
fn full_name(program: &str, comm: &str) -> Option<String> {
    let name = program.rsplit('/').next()?;
    (name.len() > comm.len() && !comm.is_empty() && name.starts_with(comm) && !name.contains(' '))
        .then(|| name.to_owned())
}

/// `--rpc.token=abc` and `https://user:abc@host/`: the name stays, the value goes.
fn without_secret(arg: &str) -> String {
    if let Some((name, value)) = arg.split_once('=')
        && names_secret(name)
        && !is_path(value)
    {
        return format!("{name}={HIDDEN}");
    }
    let login = arg.find("://").and_then(|at| {
        let host = &arg[at + 3..];
        let host = &host[..host.find('/').unwrap_or(host.len())];
        Some((at + 3, at + 3 + host.rfind('@')?))
    });
    match login {
        Some((from, to)) => format!("{}{HIDDEN}{}", &arg[..from], &arg[to..]),
        None => arg.to_owned(),
    }
}

/// An option whose value is a secret by its name.
fn names_secret(arg: &str) -> bool {
    let Some(name) = arg.strip_prefix('-').filter(|name| !name.contains('=')) else {
        return false;
    };
    let name: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    let secret = [
        "password",
        "passwd",
        "secret",
        "token",
        "apikey",
        "privatekey",
        "mnemonic",
        "nodekeyhex",
    ];
    secret.iter().any(|word| name.ends_with(word))
}

/// Where a secret lies is none itself: `--authrpc.jwtsecret /var/lib/jwt.hex`.
fn is_path(value: &str) -> bool {
    value.starts_with('/') || value.starts_with("./") || value.starts_with("~/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(cmdline: &str) -> String {
        Command::parse(cmdline.replace(' ', "\0").as_bytes(), "x").line
    }

    #[test]
    fn secrets_are_hidden_and_paths_are_not() {
        for (cmdline, shown) in [
            (
                "geth --authrpc.jwtsecret /d/jwt --syncmode snap",
                "geth --authrpc.jwtsecret /d/jwt --syncmode snap",
            ),
            ("x --password abc -v", "x --password [hidden] -v"),
            (
                "x --http.api-key=abc --name=a",
                "x --http.api-key=[hidden] --name=a",
            ),
            ("x --api_token=/run/token", "x --api_token=/run/token"),
            (
                "x --eth1 https://u:p@host:1/v3",
                "x --eth1 https://[hidden]@host:1/v3",
            ),
            ("x --el=http://host/a@b", "x --el=http://host/a@b"),
        ] {
            assert_eq!(line(cmdline), shown);
        }
    }

    #[test]
    fn names_that_the_kernel_cut_are_whole() {
        let name = |cmdline: &str, comm: &str| Command::parse(cmdline.as_bytes(), comm).name;
        let nimbus = name("/opt/nimbus_beacon_node\0--x\0", "nimbus_beacon_n");
        assert_eq!(nimbus.as_deref(), Some("nimbus_beacon_node"));
        assert_eq!(name("/usr/bin/python3\0x.py\0", "worker"), None);
        assert_eq!(name("postgres: writer process\0", "postgres"), None);
        assert_eq!(Command::parse(b"", "kthreadd"), Command::default());
    }

    #[test]
    fn a_long_line_ends_at_an_argument() {
        let cmdline = format!("java\0-cp\0{}\0Main\0", "x".repeat(2_000));
        let command = Command::parse(cmdline.as_bytes(), "java");
        assert_eq!(command.args, ["java", "-cp"]);
        assert_eq!(command.line, "java -cp");
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_stays_short(bytes in prop::collection::vec(any::<u8>(), 0..2_000), comm in ".{0,15}") {
            prop_assert!(Command::parse(&bytes, &comm).line.len() <= MAX_BYTES);
        }
    }
}
