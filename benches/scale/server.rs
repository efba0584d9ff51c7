//! The Elasticsearch that is given, or one of our own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

pub(crate) struct Server {
    pub(crate) url: String,
    /// Of our own one.
    directory: Option<PathBuf>,
}

impl Server {
    pub(crate) fn find() -> anyhow::Result<Self> {
        let given = std::env::var("ETHMON_TEST_ELASTICSEARCH").ok();
        if let Some(url) = given.filter(|url| !url.is_empty()) {
            return Ok(Self {
                url,
                directory: None,
            });
        }
        let directory = std::env::temp_dir().join(format!("ethmon-scale-{}", std::process::id()));
        let output = service()
            .arg("start")
            .arg(&directory)
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(output.status.success(), "cannot start Elasticsearch");
        let output = String::from_utf8(output.stdout)?;
        let url = output.lines().last().context("Elasticsearch has no URL")?;
        Ok(Self {
            url: url.to_owned(),
            directory: Some(directory),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(directory) = &self.directory {
            service().arg("stop").arg(directory).status().ok();
            std::fs::remove_dir_all(directory).ok();
        }
    }
}

fn service() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/services/elasticsearch"))
}
