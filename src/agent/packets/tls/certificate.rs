//! What a certificate says, as ECS names it.

use md5::Md5;
use serde_json::{Map, Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use x509_parser::prelude::*;

use crate::event::timestamp;

/// `tls.server` (or `tls.client`) as the certificate gives it: hashes always, the rest where it can be read.
pub(super) fn fields(der: &[u8]) -> Map<String, Value> {
    let upper = |digest: &[u8]| hex::encode_upper(digest);
    let mut fields = Map::new();
    let hashes = json!({
        "md5": upper(&Md5::digest(der)),
        "sha1": upper(&Sha1::digest(der)),
        "sha256": upper(&Sha256::digest(der)),
    });
    fields.insert("hash".into(), hashes);
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return fields;
    };
    let mut x509 = x509(&certificate);
    for name in ["issuer", "subject"] {
        fields.insert(name.into(), x509[name]["distinguished_name"].clone());
    }
    for name in ["not_before", "not_after"] {
        if let Some(time) = x509.get(name) {
            fields.insert(name.into(), time.clone());
        }
    }
    x509["alternative_names"] = alternative_names(&certificate).into();
    fields.insert("x509".into(), x509);
    fields
}

/// One of a chain, in short.
pub(super) fn short(der: &[u8]) -> Option<Value> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(json!({
        "subject": distinguished_name(certificate.subject()),
        "issuer": distinguished_name(certificate.issuer()),
        "serial_number": certificate.tbs_certificate.serial.to_string(),
    }))
}

fn x509(certificate: &X509Certificate<'_>) -> Value {
    let mut value = json!({
        "version_number": (certificate.version().0.saturating_add(1)).to_string(),
        "serial_number": certificate.tbs_certificate.serial.to_string(),
        "issuer": name(certificate.issuer()),
        "subject": name(certificate.subject()),
        "signature_algorithm": signature(&certificate.signature_algorithm.algorithm.to_id_string()),
    });
    let validity = certificate.validity();
    for (field, time) in [
        ("not_before", validity.not_before),
        ("not_after", validity.not_after),
    ] {
        if let Some(time) = chrono::DateTime::from_timestamp(time.timestamp(), 0) {
            value[field] = timestamp(time).into();
        }
    }
    let key = certificate.public_key();
    let algorithm = match key.algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.1" => "RSA",
        "1.2.840.10045.2.1" => "ECDSA",
        "1.3.101.112" => "Ed25519",
        "1.2.840.10040.4.1" => "DSA",
        _ => "unknown",
    };
    value["public_key_algorithm"] = algorithm.into();
    match key.parsed() {
        Ok(public_key::PublicKey::RSA(key)) => value["public_key_size"] = key.key_size().into(),
        Ok(public_key::PublicKey::EC(point)) => value["public_key_size"] = point.key_size().into(),
        _ => {}
    }
    value
}

fn name(name: &X509Name<'_>) -> Value {
    let mut value = json!({"distinguished_name": distinguished_name(name)});
    let mut set = |field: &str, found: Vec<&str>| {
        if let Some(first) = found.first() {
            value[field] = (*first).into();
        }
    };
    let texts = |attributes: Vec<&AttributeTypeAndValue<'_>>| -> Vec<String> {
        let texts = attributes
            .iter()
            .filter_map(|attribute| attribute.as_str().ok());
        texts.map(str::to_owned).collect()
    };
    let all = [
        ("common_name", texts(name.iter_common_name().collect())),
        ("country", texts(name.iter_country().collect())),
        ("organization", texts(name.iter_organization().collect())),
        (
            "organizational_unit",
            texts(name.iter_organizational_unit().collect()),
        ),
        ("locality", texts(name.iter_locality().collect())),
        (
            "state_or_province",
            texts(name.iter_state_or_province().collect()),
        ),
    ];
    for (field, found) in &all {
        set(field, found.iter().map(String::as_str).collect());
    }
    value
}

/// The most specific part first (RFC 2253).
fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut parts = Vec::new();
    for attribute in name.iter_attributes() {
        let kind = attribute.attr_type().to_id_string();
        let kind = match kind.as_str() {
            "2.5.4.3" => "CN",
            "2.5.4.6" => "C",
            "2.5.4.7" => "L",
            "2.5.4.8" => "ST",
            "2.5.4.9" => "STREET",
            "2.5.4.10" => "O",
            "2.5.4.11" => "OU",
            "2.5.4.5" => "SERIALNUMBER",
            "2.5.4.17" => "POSTALCODE",
            other => other,
        };
        let text = attribute.as_str().map_or_else(
            |_| format!("#{}", hex::encode(attribute.as_slice())),
            escaped,
        );
        parts.push(format!("{kind}={text}"));
    }
    parts.reverse();
    parts.join(",")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter().take(128);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            Some((*text).to_owned())
        }
        GeneralName::IPAddress(bytes) => match *bytes {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
            bytes => Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        },
        _ => None,
    });
    names.collect()
}

fn signature(oid: &str) -> String {
    let name = match oid {
        "1.2.840.113549.1.1.4" => "MD5-RSA",
        "1.2.840.113549.1.1.5" => "SHA1-RSA",
        "1.2.840.113549.1.1.11" => "SHA256-RSA",
        "1.2.840.113549.1.1.12" => "SHA384-RSA",
        "1.2.840.113549.1.1.13" => "SHA512-RSA",
        "1.2.840.113549.1.1.10" => "RSA-PSS",
        "1.2.840.10045.4.1" => "ECDSA-SHA1",
        "1.2.840.10045.4.3.2" => "ECDSA-SHA256",
        "1.2.840.10045.4.3.3" => "ECDSA-SHA384",
        "1.2.840.10045.4.3.4" => "ECDSA-SHA512",
        "1.3.101.112" => "Ed25519",
        other => other,
    };
    name.to_owned()
}
