//! Which processes are Ethereum clients.

use crate::agent::logs::Client;

/// By the file name of the program: the name itself, or the name and something after a dash, a dot or an underline
/// (`beacon-chain-v6.1.4-linux-amd64`, `Nethermind.Runner`).
const PROGRAMS: [(&str, Client); 14] = [
    ("lighthouse", Client::Lighthouse),
    ("beacon-chain", Client::Prysm),
    ("prysm", Client::Prysm),
    ("teku", Client::Teku),
    ("nimbus_beacon_node", Client::Nimbus),
    ("nimbus_validator_client", Client::Nimbus),
    ("nimbus", Client::Nimbus),
    ("lodestar", Client::Lodestar),
    ("grandine", Client::Grandine),
    ("geth", Client::Geth),
    ("nethermind", Client::Nethermind),
    ("besu", Client::Besu),
    ("erigon", Client::Erigon),
    ("reth", Client::Reth),
];

/// Programs that run what one of their arguments names.
const RUNTIMES: [&str; 5] = ["java", "node", "nodejs", "dotnet", "bun"];

/// Arguments of a runtime that are looked at: the program stands behind its options.
const MAX_ARGS: usize = 256;

/// The client that a process is, by the kernel's name for it and its command line.
pub(super) fn client_of(comm: &str, args: &[&str]) -> Option<Client> {
    let program = args.first().map_or(comm, |program| file_name(program));
    if RUNTIMES.contains(&program) {
        return args
            .iter()
            .skip(1)
            .take(MAX_ARGS)
            .find_map(|arg| run_by_runtime(arg));
    }
    by_program(program).or_else(|| {
        // Prysm's other program has a name that says little.
        let is_prysm = || args.iter().any(|arg| arg.contains("prysm"));
        (names(program, "validator") && is_prysm()).then_some(Client::Prysm)
    })
}

fn by_program(program: &str) -> Option<Client> {
    let known = PROGRAMS.iter().find(|(name, _)| names(program, name));
    known.map(|(_, client)| *client)
}

/// Whether a file name is `name`, with or without a version or a kind behind it.
fn names(file: &str, name: &str) -> bool {
    let Some((head, rest)) = file.split_at_checked(name.len()) else {
        return false;
    };
    head.eq_ignore_ascii_case(name) && (rest.is_empty() || rest.starts_with(['-', '.', '_']))
}

/// A main class, a script below a folder of the client, or an assembly. Options name clients too: where their data lies.
fn run_by_runtime(arg: &str) -> Option<Client> {
    if arg.starts_with('-') {
        return None;
    }
    match arg {
        "tech.pegasys.teku.Teku" => return Some(Client::Teku),
        "org.hyperledger.besu.Besu" => return Some(Client::Besu),
        _ => {}
    }
    let is_lodestar = arg.contains("/lodestar/") && arg.contains("cli");
    match by_program(file_name(arg)) {
        Some(client @ (Client::Nethermind | Client::Lodestar)) => Some(client),
        _ => is_lodestar.then_some(Client::Lodestar),
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cmdline: &str, client: Option<Client>) {
        let args: Vec<&str> = cmdline.split(' ').collect();
        assert_eq!(client_of("comm", &args), client, "{cmdline}");
    }

    #[test]
    fn clients_as_people_start_them() {
        check(
            "/usr/local/bin/lighthouse bn --network mainnet",
            Some(Client::Lighthouse),
        );
        check(
            "/home/x/.prysm/dist/beacon-chain-v6.1.4-linux-amd64 --hoodi",
            Some(Client::Prysm),
        );
        check(
            "validator --wallet-dir /var/lib/prysm/validator",
            Some(Client::Prysm),
        );
        check("/opt/nimbus_beacon_node --data-dir:x", Some(Client::Nimbus));
        check(
            "java -Xmx5g -cp /opt/teku/lib/* tech.pegasys.teku.Teku --network=auto",
            Some(Client::Teku),
        );
        check(
            "/usr/bin/java -Dbesu.home=/opt/besu org.hyperledger.besu.Besu",
            Some(Client::Besu),
        );
        check(
            "node --max-old-space-size=8192 /usr/app/packages/cli/bin/lodestar beacon",
            Some(Client::Lodestar),
        );
        check(
            "node /opt/lodestar/node_modules/.bin/cli.js",
            Some(Client::Lodestar),
        );
        check("./grandine", Some(Client::Grandine));
        check("geth --syncmode snap", Some(Client::Geth));
        check(
            "/nethermind/Nethermind.Runner -c mainnet",
            Some(Client::Nethermind),
        );
        check(
            "dotnet /nethermind/nethermind.dll",
            Some(Client::Nethermind),
        );
        check("erigon", Some(Client::Erigon));
        check("/usr/bin/reth node", Some(Client::Reth));
    }

    #[test]
    fn what_only_names_a_client_is_none() {
        check("tail -f /var/log/geth.log", None);
        check("vim /etc/reth", None);
        check("gethostname", None);
        check("/usr/bin/validator --config x", None);
        check("java -Dlog=/var/log/teku.log com.example.Main", None);
        check("node /srv/app.js --client lighthouse", None);
        check("", None);
        assert_eq!(client_of("reth", &[]), Some(Client::Reth));
    }
}
