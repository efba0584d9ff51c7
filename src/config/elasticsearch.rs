//! `[elasticsearch]`: where documents go, and who we are there.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use url::Url;

use super::{Secret, duration};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Elasticsearch {
    /// One URL per node. Requests go round; a node that fails is passed over for a while.
    pub hosts: Vec<Url>,
    /// Either as Elasticsearch shows it (`encoded`) or `id:key`.
    pub api_key: Option<Secret>,
    pub api_key_file: Option<PathBuf>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub password_file: Option<PathBuf>,
    /// PEM file with the certificates trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// An HTTP proxy. The environment's proxy variables are not looked at.
    pub proxy: Option<Url>,
    /// The last part of every data stream's name: `logs-ethereum.block-NAMESPACE`.
    pub namespace: String,
    /// From the first byte sent to the last one read.
    #[serde(deserialize_with = "duration::deserialize")]
    pub request_timeout: Duration,
    pub compression: Compression,
}

impl Default for Elasticsearch {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            api_key: None,
            api_key_file: None,
            username: None,
            password: None,
            password_file: None,
            ca_file: None,
            proxy: None,
            namespace: "default".into(),
            request_timeout: Duration::from_secs(30),
            compression: Compression::Gzip,
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
        ensure!(!self.hosts.is_empty(), "elasticsearch.hosts names no host");
        for host in &self.hosts {
            check_host(host)?;
        }
        ensure!(
            self.request_timeout >= Duration::from_secs(1),
            "elasticsearch.request_timeout is shorter than a second"
        );
        check_namespace(&self.namespace)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Elasticsearch {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_documented_section_is_accepted() {
        let config = section(
            r#"
            hosts = ["http://127.0.0.1:9200", "https://es.example/prefix"]
            username = "writer"
            password = "hunter2"
            request_timeout = "10s"
            compression = "none"
            "#,
        );
        config.check().unwrap();
        assert_eq!(config.request_timeout, Duration::from_secs(10));
        assert!(!format!("{config:?} {:?}", config.credentials().unwrap()).contains("hunter2"));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, complaint) in [
            ("", "names no host"),
            ("hosts = ['ftp://a']", "not an http or https"),
            ("hosts = ['http://u:p@a']", "holds credentials"),
            ("hosts = ['http://a?x=1']", "holds a query"),
            (
                "hosts = ['http://a']\nnamespace = 'a-b'",
                "namespace \"a-b\"",
            ),
            ("hosts = ['http://a']\nnamespace = 'Prod'", "in capitals"),
            (
                "hosts = ['http://a']\nrequest_timeout = '5ms'",
                "shorter than a second",
            ),
        ] {
            let error = section(text).check().unwrap_err().to_string();
            assert!(error.contains(complaint), "{text}: {error}");
            assert!(!error.contains("u:p"), "{error}");
        }
        assert!(toml::from_str::<Elasticsearch>("host = ['http://a']").is_err());
    }

    #[test]
    fn one_kind_of_credentials() {
        for (text, complaint) in [
            ("api_key = 'a'\nusername = 'u'\npassword = 'p'", "both"),
            ("username = 'u'", "without a password"),
            ("password = 'p'", "without a username"),
            ("api_key = \"a\\nb\"", "control"),
            (
                "api_key = 'a'\napi_key_file = '/x'",
                "both as a value and as a file",
            ),
        ] {
            let error = section(text).credentials().unwrap_err().to_string();
            assert!(error.contains(complaint), "{text}: {error}");
        }
        assert_eq!(section("").credentials().unwrap(), None);
    }
}
