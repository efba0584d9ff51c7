//! What the host is: the `host.*` object on every document.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use serde_json::Value;
use sysinfo::{Networks, System};

use crate::event::Document;

/// `host.*` by ECS. What can't be found out is left out. In a container, name, id and system are those of the files
/// below `hostfs`.
pub fn host_metadata(hostfs: &Path) -> Document {
    let read = |path: &str| fs::read_to_string(hostfs.join(path)).ok();
    let name = if hostfs == Path::new("/") {
        System::host_name().ok()
    } else {
        read("etc/hostname")
    };
    let name = name
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty());
    let os_release = read("etc/os-release").or_else(|| read("usr/lib/os-release"));
    let machine_id = read("etc/machine-id")
        .map(|id| id.trim().to_owned())
        .filter(|id| !id.is_empty());

    let mut host = Document::default();
    host.set_some("host.name", name.clone());
    host.set_some("host.hostname", name);
    host.set_some("host.id", machine_id);
    host.set("host.architecture", System::cpu_arch());
    host.set_some("host.os.kernel", System::kernel_version().ok());
    host.set("host.os.type", std::env::consts::OS);
    describe_os(&mut host, &os_release.unwrap_or_default());
    if let Ok(networks) = Networks::new_with_refreshed_list() {
        describe_interfaces(&mut host, &networks);
    }
    host
}

fn describe_os(host: &mut Document, os_release: &str) {
    let values: HashMap<&str, &str> = os_release
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim().trim_matches(['"', '\''])))
        .collect();
    let value = |key: &str| values.get(key).copied().filter(|value| !value.is_empty());
    let version = value("VERSION").or_else(|| value("VERSION_ID"));
    host.set_some("host.os.name", value("NAME"));
    host.set_some("host.os.version", version);
    host.set_some("host.os.codename", value("VERSION_CODENAME"));
    host.set_some("host.os.platform", value("ID"));
    // `ID_LIKE` names the closest relative first: "rhel centos fedora".
    let relative = value("ID_LIKE").and_then(|like| like.split(' ').next());
    host.set_some("host.os.family", relative.or_else(|| value("ID")));
}

/// Addresses of all interfaces but loopback, sorted so that they don't change from one start to the next.
fn describe_interfaces(host: &mut Document, networks: &Networks) {
    let mut addresses = BTreeSet::new();
    let mut macs = BTreeSet::new();
    for (_, network) in networks {
        let outside = network
            .ip_networks()
            .iter()
            .filter(|net| !net.addr.is_loopback());
        addresses.extend(outside.map(|net| net.addr));
        let mac = network.mac_address();
        if !mac.is_unspecified() {
            // ECS writes them as RFC 7042 does.
            macs.insert(mac.0.map(|byte| format!("{byte:02X}")).join("-"));
        }
    }
    let addresses: Vec<Value> = addresses
        .iter()
        .map(|address| address.to_string().into())
        .collect();
    let macs: Vec<Value> = macs.into_iter().map(Value::from).collect();
    host.set("host.ip", addresses);
    host.set("host.mac", macs);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_that_of_the_host_below_its_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        let put =
            |file: &str, text: &str| fs::write(root.path().join("etc").join(file), text).unwrap();
        put(
            "os-release",
            "NAME=\"Rocky Linux\"\nVERSION=\"9.4 (Blue Onyx)\"\nID=rocky\nID_LIKE=\"rhel centos fedora\"\nbroken\n",
        );
        put("hostname", "node-7\n");
        put("machine-id", "3d1219c7c4c5404aaa1f6d2a48adfda4\n");
        let host = host_metadata(root.path());
        assert_eq!(host.get_str("host.name"), Some("node-7"));
        assert_eq!(
            host.get_str("host.id"),
            Some("3d1219c7c4c5404aaa1f6d2a48adfda4")
        );
        assert_eq!(host.get_str("host.os.version"), Some("9.4 (Blue Onyx)"));
        assert_eq!(host.get_str("host.os.family"), Some("rhel"));
    }

    #[test]
    fn this_machine_has_a_name_and_a_kernel() {
        let host = host_metadata(Path::new("/"));
        for field in [
            "host.name",
            "host.architecture",
            "host.os.kernel",
            "host.os.platform",
        ] {
            assert!(
                host.get_str(field).is_some_and(|value| !value.is_empty()),
                "{field}"
            );
        }
    }
}
