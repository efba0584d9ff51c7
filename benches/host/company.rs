//! Other processes: enough to be the machine of a node, two of them by the names of clients.

use std::fs;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

pub(crate) struct Company {
    children: Vec<Child>,
    #[allow(dead_code, reason = "the clients' programs lie in it")]
    folder: TempDir,
}

/// Starts what is missing to `wanted` processes.
pub(crate) fn gather(wanted: usize) -> Company {
    let folder = tempfile::tempdir().unwrap();
    let mut children = Vec::new();
    for client in ["lighthouse", "geth"] {
        let program = folder.path().join(client);
        fs::copy("/bin/sleep", &program).unwrap();
        children.push(start(program.to_str().unwrap()));
    }
    while count() < wanted {
        children.push(start("sleep"));
    }
    Company { children, folder }
}

impl Company {
    pub(crate) fn processes(&self) -> usize {
        count()
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        for child in &mut self.children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

fn start(program: &str) -> Child {
    let mut command = Command::new(program);
    command.arg("86400").stdin(Stdio::null()).spawn().unwrap()
}

fn count() -> usize {
    let names = fs::read_dir("/proc").unwrap();
    let names = names.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    names.filter(|name| name.parse::<u32>().is_ok()).count()
}
