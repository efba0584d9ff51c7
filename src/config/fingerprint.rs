//! The fingerprint of a certificate, as `openssl x509 -fingerprint -sha256` and Elasticsearch at its first start print it.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use sha2::{Digest, Sha256};

/// SHA-256 of a certificate in its binary form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// `der` is the certificate as it crosses the wire.
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    /// 64 hexadecimal digits in either case, with or without colons.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.trim().chars().filter(|c| *c != ':').collect();
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(
                "a SHA-256 fingerprint has 64 hexadecimal digits, with or without colons",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colons_and_case_make_no_difference() {
        let plain = Fingerprint::of(b"certificate").to_string();
        let pairs: Vec<_> = plain.as_bytes().chunks(2).collect();
        let colons = pairs.join(&b':');
        let colons = String::from_utf8(colons).unwrap().to_uppercase();
        assert_eq!(Fingerprint::parse(&plain), Fingerprint::parse(&colons));
        assert_eq!(
            Fingerprint::parse(&colons),
            Some(Fingerprint::of(b"certificate"))
        );
    }

    #[test]
    fn what_is_no_sha_256_is_refused() {
        let sha1 = "a".repeat(40);
        for text in ["", "ca", &sha1, &"g".repeat(64), &"a".repeat(66)] {
            assert_eq!(Fingerprint::parse(text), None, "{text}");
        }
    }
}
