//! Who we are and whom we trust, as the files of the section had it when they were read.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Context;
use elasticsearch::auth::{ClientCertificate, Credentials as Login};
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::transport::{SingleNodeConnectionPool, Transport, TransportBuilder};
use url::Url;

use crate::config::{self, Credentials};

/// Two that are equal make no difference to anybody.
#[derive(PartialEq)]
pub(super) struct Access {
    credentials: Option<Credentials>,
    /// PEM.
    authorities: Option<Vec<u8>>,
    /// PEM: the client's certificates, then their key.
    identity: Option<Vec<u8>>,
    pub(super) proxy: Option<Proxy>,
}

#[derive(Clone, PartialEq)]
pub(super) struct Proxy {
    pub(super) url: Url,
    pub(super) login: Option<(String, config::Secret)>,
}

impl Access {
    pub(super) fn read(config: &config::Elasticsearch) -> anyhow::Result<Self> {
        let pem = |key: &str, path: Option<&Path>| match path {
            None => Ok(None),
            Some(path) => fs::read(path)
                .map(Some)
                .with_context(|| format!("cannot read elasticsearch.{key} {}", path.display())),
        };
        let mut identity = pem(
            "client_certificate_file",
            config.client_certificate_file.as_deref(),
        )?;
        if let Some(key) = pem("client_key_file", config.client_key_file.as_deref())? {
            let identity = identity.get_or_insert_default();
            identity.push(b'\n');
            identity.extend(key);
        }
        let login = config.proxy_credentials()?;
        let proxy = config.proxy.clone().map(|url| Proxy { url, login });
        Ok(Self {
            credentials: config.credentials()?,
            authorities: pem("ca_file", config.ca_file.as_deref())?,
            identity,
            proxy,
        })
    }

    /// A transport to one host that trusts `pinned`, a certificate in its binary form, besides the configured authorities.
    pub(super) fn transport(&self, host: &Url, pinned: Option<&[u8]>) -> anyhow::Result<Transport> {
        let mut builder = TransportBuilder::new(SingleNodeConnectionPool::new(host.clone()))
            .enable_meta_header(false);
        // Without either call the environment's variables count.
        builder = match &self.proxy {
            None => builder.disable_proxy(),
            Some(Proxy { url, login }) => {
                let (name, password) = login.as_ref().map(|(name, word)| (name, word)).unzip();
                builder.proxy(
                    url.clone(),
                    name.map(String::as_str),
                    password.map(config::Secret::expose),
                )
            }
        };
        if let Some(trusted) = self.trusted(pinned)? {
            builder = builder.cert_validation(CertificateValidation::Full(trusted));
        }
        if let Some(identity) = &self.identity {
            let certificate = ClientCertificate::Pem(identity.clone());
            builder = builder.auth(Login::Certificate(certificate));
        }
        let transport = builder.build().context(
            "cannot build an HTTP client from elasticsearch.client_certificate_file, client_key_file and ca_file",
        )?;
        // A certificate belongs to the connection, what else we are to each request.
        if let Some(credentials) = &self.credentials {
            transport.set_auth(login(credentials));
        }
        Ok(transport)
    }

    fn trusted(&self, pinned: Option<&[u8]>) -> anyhow::Result<Option<Certificate>> {
        let configured = self.authorities.as_ref().map(|pem| {
            Certificate::from_pem(pem)
                .context("cannot use elasticsearch.ca_file, which holds no PEM certificate")
        });
        let pinned = pinned.map(|der| {
            Certificate::from_der(der)
                .context("cannot use the certificate that elasticsearch.ca_fingerprint names")
        });
        Ok(match (configured.transpose()?, pinned.transpose()?) {
            (Some(mut all), Some(pinned)) => {
                all.append(pinned);
                Some(all)
            }
            (configured, pinned) => configured.or(pinned),
        })
    }
}

fn login(credentials: &Credentials) -> Login {
    match credentials {
        Credentials::Basic { username, password } => {
            Login::Basic(username.clone(), password.expose().to_owned())
        }
        Credentials::ApiKey(key) => match key.expose().split_once(':') {
            Some((id, key)) => Login::ApiKey(id.to_owned(), key.to_owned()),
            None => Login::EncodedApiKey(key.expose().to_owned()),
        },
    }
}

/// What tells a changed file from an unchanged one without reading it. A link that points elsewhere is a change, too: that
/// is how secrets are replaced in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamps(Vec<Option<(i64, i64, u64, u64)>>);

impl Stamps {
    /// Of every file the section names.
    pub(super) fn of(config: &config::Elasticsearch) -> Self {
        let files = [
            &config.api_key_file,
            &config.password_file,
            &config.ca_file,
            &config.client_certificate_file,
            &config.client_key_file,
            &config.proxy_password_file,
        ];
        let stamp = |path: &Path| {
            let file = fs::metadata(path).ok()?;
            Some((file.mtime(), file.mtime_nsec(), file.len(), file.ino()))
        };
        Self(
            files
                .into_iter()
                .flatten()
                .map(|path| stamp(path))
                .collect(),
        )
    }

    /// The section names no file.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
