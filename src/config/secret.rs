//! Secrets, which can't be printed.

use std::fmt;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

/// A password or key. `Debug` hides it and there is no `Display`.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The value given in the configuration, else what the file holds (without the newline that editors add).
    /// `what` names the secret in messages. systemd's credentials are files below `${CREDENTIALS_DIRECTORY}`.
    pub fn resolve(
        what: &str,
        value: Option<&Secret>,
        file: Option<&Path>,
    ) -> anyhow::Result<Option<Self>> {
        match (value, file) {
            (Some(_), Some(_)) => anyhow::bail!("{what} is given both as a value and as a file"),
            (Some(value), None) => Ok(Some(value.clone())),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {what} from {}", path.display()))?;
                Ok(Some(Self(text.trim_end_matches(['\r', '\n']).to_owned())))
            }
            (None, None) => Ok(None),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(***)");
    }

    #[test]
    fn a_file_gives_its_line_without_the_newline() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let secret = Secret::resolve("password", None, Some(file.path()))
            .unwrap()
            .unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert!(Secret::resolve("password", Some(&secret), Some(file.path())).is_err());
        assert!(Secret::resolve("password", None, Some(Path::new("/nonexistent"))).is_err());
    }
}
