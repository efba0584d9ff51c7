//! What must never leave the host: credentials in headers and in queries.

const REDACTED: &str = "REDACTED";

/// Headers that are secrets even where an operator asks for them.
const SECRET_HEADERS: [&str; 9] = [
    "authorization",
    "proxy-authorization",
    "authentication",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
    "www-authenticate",
];

/// Parts of a parameter's name that say its value is a secret.
const SECRET_PARAMETERS: [&str; 10] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "auth",
    "session",
    "signature",
];

pub(super) fn header<'a>(name: &str, value: &'a str) -> &'a str {
    match SECRET_HEADERS
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret))
    {
        true => REDACTED,
        false => value,
    }
}

/// A request's target without user, password, and the values of secret parameters.
pub(super) fn target(target: &str, more: &[String]) -> String {
    let target = without_user(target);
    let Some((path, query)) = target.split_once('?') else {
        return target;
    };
    let parameters = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if is_secret(name, more) => format!("{name}={REDACTED}"),
            _ => parameter.to_owned(),
        });
    let parameters: Vec<String> = parameters.collect();
    format!("{path}?{}", parameters.join("&"))
}

fn is_secret(name: &str, more: &[String]) -> bool {
    // Names may be written with escapes.
    let name = percent_decoded(name).to_ascii_lowercase();
    SECRET_PARAMETERS.iter().any(|part| name.contains(part))
        || more.iter().any(|own| own.eq_ignore_ascii_case(&name))
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%');
        let decoded = digits.and_then(|digits| hex::decode(digits).ok());
        match decoded.as_deref() {
            Some([decoded]) => {
                out.push(*decoded);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn without_user(target: &str) -> String {
    let Some((scheme, rest)) = target.split_once("://") else {
        return target.to_owned();
    };
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    match rest[..authority_end].rfind('@') {
        Some(user_end) => format!("{scheme}://{}", &rest[user_end + 1..]),
        None => target.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_pass() {
        assert_eq!(
            target("/a?x=1&api_key=k&Pass%77ord=p&own=o&flag", &["OWN".into()]),
            "/a?x=1&api_key=REDACTED&Pass%77ord=REDACTED&own=REDACTED&flag"
        );
        assert_eq!(target("http://u:p@h/x?y=@", &[]), "http://h/x?y=@");
        assert_eq!(target("/@?", &[]), "/@?");
        assert_eq!(header("Authorization", "Basic x"), REDACTED);
        assert_eq!(header("host", "x"), "x");
    }
}
