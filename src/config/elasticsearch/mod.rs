//! `[elasticsearch]`: where documents go, and who we are there.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use elasticsearch::http::transport::CloudId;
use serde::Deserialize;
use url::Url;

use super::{Fingerprint, Secret, duration};

/// More requests at once than this help nobody: the limit is for a slip of the pen.
const MOST_CONCURRENT: usize = 64;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Elasticsearch {
    /// One URL per node. Requests go round; a node that fails is passed over for a while.
    pub hosts: Vec<Url>,
    /// In place of `hosts`: what Elastic Cloud shows for a deployment.
    pub cloud_id: Option<String>,
    /// Either as Elasticsearch shows it (`encoded`) or `id:key`.
    pub api_key: Option<Secret>,
    pub api_key_file: Option<PathBuf>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub password_file: Option<PathBuf>,
    /// PEM file with the certificates trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Trusts, besides, the authority with this SHA-256 fingerprint in the chain that a host presents. A certificate that
    /// vouches for itself counts as its own authority.
    pub ca_fingerprint: Option<Fingerprint>,
    /// PEM files by which we show who we are, with or without further credentials.
    pub client_certificate_file: Option<PathBuf>,
    pub client_key_file: Option<PathBuf>,
    /// An HTTP proxy. The environment's proxy variables are not looked at.
    pub proxy: Option<Url>,
    pub proxy_username: Option<String>,
    pub proxy_password: Option<Secret>,
    pub proxy_password_file: Option<PathBuf>,
    /// The last part of every data stream's name: `logs-ethereum.block-NAMESPACE`.
    pub namespace: String,
    /// From the first byte sent to the last one read.
    #[serde(deserialize_with = "duration::deserialize")]
    pub request_timeout: Duration,
    pub compression: Compression,
    /// Bulk requests under way at most; how many there are follows what Elasticsearch bears.
    pub concurrency: usize,
}

impl Default for Elasticsearch {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            cloud_id: None,
            api_key: None,
            api_key_file: None,
            username: None,
            password: None,
            password_file: None,
            ca_file: None,
            ca_fingerprint: None,
            client_certificate_file: None,
            client_key_file: None,
            proxy: None,
            proxy_username: None,
            proxy_password: None,
            proxy_password_file: None,
            namespace: "default".into(),
            request_timeout: Duration::from_secs(30),
            compression: Compression::Gzip,
            concurrency: 4,
        }
    }
}

/// Of request bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Level 1: most of the gain for a fraction of the work.
    Gzip,
    None,
}

/// Who we are to Elasticsearch, with files read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    ApiKey(Secret),
    Basic { username: String, password: Secret },
}

impl Elasticsearch {
    /// What can be said about the section without reading a file or asking anybody.
    pub fn check(&self) -> anyhow::Result<()> {
        for host in &self.addresses()? {
            check_host(host)?;
            ensure!(
                self.ca_fingerprint.is_none() || host.scheme() == "https",
                "elasticsearch.ca_fingerprint means nothing to {}, which is not https",
                host.origin().ascii_serialization()
            );
        }
        ensure!(
            self.client_certificate_file.is_some() == self.client_key_file.is_some(),
            "elasticsearch.client_certificate_file and client_key_file belong together"
        );
        self.check_proxy()?;
        ensure!(
            (1..=MOST_CONCURRENT).contains(&self.concurrency),
            "elasticsearch.concurrency is not between 1 and {MOST_CONCURRENT}"
        );
        ensure!(
            self.request_timeout >= Duration::from_secs(1),
            "elasticsearch.request_timeout is shorter than a second"
        );
        check_namespace(&self.namespace)
    }

    /// `hosts`, or the one host that `cloud_id` stands for.
    pub fn addresses(&self) -> anyhow::Result<Vec<Url>> {
        match &self.cloud_id {
            None => {
                ensure!(!self.hosts.is_empty(), "elasticsearch.hosts names no host");
                Ok(self.hosts.clone())
            }
            Some(_) if !self.hosts.is_empty() => {
                bail!("elasticsearch has both hosts and a cloud_id")
            }
            Some(id) => {
                let cloud = CloudId::parse(id)
                    .map_err(|error| anyhow!("elasticsearch.cloud_id: {error}"))?;
                Ok(vec![cloud.url])
            }
        }
    }

    fn check_proxy(&self) -> anyhow::Result<()> {
        let password = self.proxy_password.is_some() || self.proxy_password_file.is_some();
        ensure!(
            self.proxy_username.is_some() == password,
            "elasticsearch.proxy_username and proxy_password (or proxy_password_file) belong together"
        );
        let Some(proxy) = &self.proxy else {
            ensure!(
                !password,
                "elasticsearch.proxy_username is given without a proxy"
            );
            return Ok(());
        };
        ensure!(
            matches!(proxy.scheme(), "http" | "https") && proxy.has_host(),
            "elasticsearch.proxy is not an http or https address"
        );
        ensure!(
            proxy.username().is_empty() && proxy.password().is_none(),
            "elasticsearch.proxy holds credentials, which belong into proxy_username and proxy_password_file"
        );
        ensure!(
            proxy.scheme() == "http" || self.ca_fingerprint.is_none(),
            "elasticsearch.ca_fingerprint cannot be looked up through an https proxy: use ca_file"
        );
        Ok(())
    }

    /// Of `proxy`, with the file read.
    pub fn proxy_credentials(&self) -> anyhow::Result<Option<(String, Secret)>> {
        let password = Secret::resolve(
            "elasticsearch.proxy_password",
            self.proxy_password.as_ref(),
            self.proxy_password_file.as_deref(),
        )?;
        Ok(self.proxy_username.clone().zip(password))
    }

    /// `None` where the section names none: a cluster without security.
    pub fn credentials(&self) -> anyhow::Result<Option<Credentials>> {
        let api_key = Secret::resolve(
            "elasticsearch.api_key",
            self.api_key.as_ref(),
            self.api_key_file.as_deref(),
        )?;
        let password = Secret::resolve(
            "elasticsearch.password",
            self.password.as_ref(),
            self.password_file.as_deref(),
        )?;
        match (api_key, self.username.clone(), password) {
            (None, None, None) => Ok(None),
            (Some(key), None, None) => {
                // Such a key would end as an HTTP header, where a stray character is an obscure error.
                ensure!(
                    key.expose().bytes().all(|byte| byte.is_ascii_graphic())
                        && !key.expose().is_empty(),
                    "elasticsearch.api_key is empty or holds spaces, control or non-ASCII characters"
                );
                Ok(Some(Credentials::ApiKey(key)))
            }
            (None, Some(username), Some(password)) => {
                Ok(Some(Credentials::Basic { username, password }))
            }
            (None, Some(_), None) => bail!("elasticsearch.username is given without a password"),
            (None, None, Some(_)) => bail!("elasticsearch.password is given without a username"),
            (Some(_), _, _) => {
                bail!("elasticsearch has both an API key and a username or password")
            }
        }
    }
}

fn check_host(host: &Url) -> anyhow::Result<()> {
    let shown = format!("{}://{}", host.scheme(), host.host_str().unwrap_or("?"));
    ensure!(
        matches!(host.scheme(), "http" | "https") && host.has_host(),
        "elasticsearch.hosts: {shown} is not an http or https address"
    );
    ensure!(
        host.username().is_empty() && host.password().is_none(),
        "elasticsearch.hosts: {shown} holds credentials, which belong into username and password_file"
    );
    ensure!(
        host.query().is_none() && host.fragment().is_none(),
        "elasticsearch.hosts: {shown} holds a query or fragment"
    );
    Ok(())
}

/// What Elasticsearch allows in the last part of a data stream's name.
fn check_namespace(namespace: &str) -> anyhow::Result<()> {
    let allowed =
        |c: char| !c.is_uppercase() && !c.is_whitespace() && !"\\/*?\"<>|,#:-".contains(c);
    (!namespace.is_empty() && namespace.len() <= 100 && namespace.chars().all(allowed))
        .then_some(())
        .with_context(|| {
            format!(
                "elasticsearch.namespace {namespace:?} is empty, longer than 100 bytes, in capitals, or holds one of \\ / * ? \" < > | , # : - or space"
            )
        })
}
