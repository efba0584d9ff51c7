//! Fingerprints of a client or server by what it offers: JA3, JA3S, JA4.

use md5::{Digest, Md5};
use sha2::Sha256;

use super::hello::{Hello, PROTOCOLS, SERVER_NAME, is_grease};

pub(super) fn ja3(client: &Hello) -> String {
    let text = [
        client.legacy_version.to_string(),
        dashed(&client.ciphers),
        dashed(&client.extensions),
        dashed(&client.groups),
        dashed(
            &client
                .point_formats
                .iter()
                .map(|format| u16::from(*format))
                .collect::<Vec<_>>(),
        ),
    ];
    hex::encode(Md5::digest(text.join(",")))
}

pub(super) fn ja3s(server: &Hello) -> String {
    let text = [
        server.legacy_version.to_string(),
        dashed(&server.ciphers),
        dashed(&server.extensions),
    ];
    hex::encode(Md5::digest(text.join(",")))
}

pub(super) fn ja4(client: &Hello) -> String {
    let ciphers = sorted(&client.ciphers, &[]);
    let extensions = sorted(&client.extensions, &[]);
    let named = client.extensions.contains(&SERVER_NAME);
    let hashed_extensions = sorted(&client.extensions, &[SERVER_NAME, PROTOCOLS]);
    let signatures: Vec<u16> = client
        .signatures
        .iter()
        .copied()
        .filter(|id| !is_grease(*id))
        .collect();
    let mut third = comma_hex(&hashed_extensions);
    if !signatures.is_empty() {
        third = format!("{third}_{}", comma_hex(&signatures));
    }
    format!(
        "t{}{}{:02}{:02}{}_{}_{}",
        version(client),
        if named { 'd' } else { 'i' },
        ciphers.len().min(99),
        extensions.len().min(99),
        first_and_last(client.protocols.first()),
        short_hash(&comma_hex(&ciphers), ciphers.is_empty()),
        short_hash(&third, client.extensions.is_empty()),
    )
}

fn version(client: &Hello) -> &'static str {
    let offered = client
        .versions
        .iter()
        .copied()
        .filter(|id| !is_grease(*id))
        .max();
    match offered.unwrap_or(client.legacy_version) {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    }
}

/// Of the first protocol's name; of its hexadecimal form where it is not of letters and digits.
fn first_and_last(protocol: Option<&String>) -> String {
    let ends = |text: &str| -> Option<String> {
        Some(
            [text.chars().next()?, text.chars().next_back()?]
                .iter()
                .collect(),
        )
    };
    let Some(protocol) = protocol else {
        return "00".to_owned();
    };
    match ends(protocol) {
        Some(text) if text.chars().all(|c| c.is_ascii_alphanumeric()) => text,
        Some(_) => ends(&hex::encode(protocol)).unwrap_or_else(|| "00".to_owned()),
        None => "00".to_owned(),
    }
}

fn short_hash(text: &str, is_empty: bool) -> String {
    match is_empty {
        true => "000000000000".to_owned(),
        false => hex::encode(&Sha256::digest(text)[..6]),
    }
}

fn sorted(ids: &[u16], without: &[u16]) -> Vec<u16> {
    let kept = ids
        .iter()
        .copied()
        .filter(|id| !is_grease(*id) && !without.contains(id));
    let mut kept: Vec<u16> = kept.collect();
    kept.sort_unstable();
    kept
}

fn comma_hex(ids: &[u16]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| format!("{id:04x}")).collect();
    ids.join(",")
}

fn dashed(ids: &[u16]) -> String {
    let kept = ids.iter().filter(|id| !is_grease(**id));
    let ids: Vec<String> = kept.map(u16::to_string).collect();
    ids.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of JA4's own description: a browser.
    #[test]
    fn a_known_browser() {
        let client = Hello {
            legacy_version: 0x0303,
            ciphers: vec![
                0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8,
                0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
            ],
            extensions: vec![
                0x4a4a, 0x0012, 0x000d, 0x0000, 0x0005, 0xff01, 0x000b, 0x0010, 0x0033, 0x0015,
                0x001b, 0x0023, 0x002b, 0x000a, 0x002d, 0x0017, 0x4469,
            ],
            signatures: vec![
                0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601,
            ],
            protocols: vec!["h2".into(), "http/1.1".into()],
            versions: vec![0x5a5a, 0x0304, 0x0303],
            ..Hello::default()
        };
        assert_eq!(ja4(&client), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }
}
