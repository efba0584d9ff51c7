//! What the numbers of TLS are called, as Packetbeat calls them.

/// `tls.version_protocol` and `tls.version`.
pub(super) fn version(number: u16) -> (&'static str, String) {
    match number {
        0x0300 => ("ssl", "3.0".into()),
        0x0301..=0x0304 => ("tls", format!("1.{}", number - 0x0301)),
        other => ("tls", format!("(unknown:0x{other:04x})")),
    }
}

/// `TLS 1.3`
pub(super) fn version_text(number: u16) -> String {
    let (protocol, version) = version(number);
    format!("{} {version}", protocol.to_uppercase())
}

/// `3.3`
pub(super) fn wire_version(number: u16) -> String {
    let [major, minor] = number.to_be_bytes();
    format!("{major}.{minor}")
}

pub(super) fn group(number: u16) -> String {
    let name = match number {
        0x0013 => "secp192r1",
        0x0015 => "secp224r1",
        0x0016 => "secp256k1",
        0x0017 => "secp256r1",
        0x0018 => "secp384r1",
        0x0019 => "secp521r1",
        0x001a => "brainpoolP256r1",
        0x001b => "brainpoolP384r1",
        0x001c => "brainpoolP512r1",
        0x001d => "x25519",
        0x001e => "x448",
        0x0100 => "ffdhe2048",
        0x0101 => "ffdhe3072",
        0x0102 => "ffdhe4096",
        0x0103 => "ffdhe6144",
        0x0104 => "ffdhe8192",
        0x11ec => "X25519MLKEM768",
        other => return unknown(other),
    };
    name.to_owned()
}

pub(super) fn signature(number: u16) -> String {
    let name = match number {
        0x0201 => "rsa_pkcs1_sha1",
        0x0202 => "dsa_sha1",
        0x0203 => "ecdsa_sha1",
        0x0301 => "rsa_pkcs1_sha224",
        0x0302 => "dsa_sha224",
        0x0303 => "ecdsa_sha224",
        0x0401 => "rsa_pkcs1_sha256",
        0x0402 => "dsa_sha256",
        0x0403 => "ecdsa_secp256r1_sha256",
        0x0501 => "rsa_pkcs1_sha384",
        0x0502 => "dsa_sha384",
        0x0503 => "ecdsa_secp384r1_sha384",
        0x0601 => "rsa_pkcs1_sha512",
        0x0602 => "dsa_sha512",
        0x0603 => "ecdsa_secp521r1_sha512",
        0x0804 => "rsa_pss_sha256",
        0x0805 => "rsa_pss_sha384",
        0x0806 => "rsa_pss_sha512",
        0x0807 => "ed25519",
        0x0808 => "ed448",
        0x0809 => "rsa_pss_pss_sha256",
        0x080a => "rsa_pss_pss_sha384",
        0x080b => "rsa_pss_pss_sha512",
        other => return unknown(other),
    };
    name.to_owned()
}

pub(super) fn point_format(number: u8) -> String {
    let name = match number {
        0 => "uncompressed",
        1 => "ansiX962_compressed_prime",
        2 => "ansiX962_compressed_char2",
        other => return unknown(u16::from(other)),
    };
    name.to_owned()
}

pub(super) fn compression(number: u8) -> String {
    let name = match number {
        0 => "NULL",
        1 => "DEFLATE",
        other => return unknown(u16::from(other)),
    };
    name.to_owned()
}

pub(super) fn alert(number: u8) -> String {
    let name = match number {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        116 => "certificate_required",
        120 => "no_application_protocol",
        other => return unknown(u16::from(other)),
    };
    name.to_owned()
}

/// Of an extension that is only named.
pub(super) fn extension(number: u16) -> String {
    let name = match number {
        0 => "server_name_indication",
        1 => "max_fragment_length",
        5 => "status_request",
        0xff01 => "renegotiation_info",
        other => return other.to_string(),
    };
    name.to_owned()
}

fn unknown(number: u16) -> String {
    format!("(unknown:0x{number:04x})")
}
