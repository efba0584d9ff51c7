//! The section, right and wrong.

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
        (
            "hosts = ['http://a']\ncloud_id = 'x:y'",
            "both hosts and a cloud_id",
        ),
        ("cloud_id = 'nocolon'", "elasticsearch.cloud_id: "),
        ("cloud_id = 'name:%%%'", "elasticsearch.cloud_id: "),
        (
            "hosts = ['https://a']\nclient_key_file = 'k'",
            "belong together",
        ),
        (
            "hosts = ['http://a']\nproxy = 'http://u:p@b'",
            "proxy holds credentials",
        ),
        (
            "hosts = ['http://a']\nproxy = 'http://b'\nproxy_username = 'u'",
            "belong together",
        ),
        (
            "hosts = ['http://a']\nproxy_username = 'u'\nproxy_password = 'p'",
            "without a proxy",
        ),
        (
            "hosts = ['http://a']\nproxy = 'socks5://b'",
            "elasticsearch.proxy is not",
        ),
        ("hosts = ['http://a']\nconcurrency = 0", "between 1 and 64"),
    ] {
        let error = section(text).check().unwrap_err().to_string();
        assert!(error.contains(complaint), "{text}: {error}");
        assert!(!error.contains("u:p"), "{error}");
    }
    assert!(toml::from_str::<Elasticsearch>("host = ['http://a']").is_err());
}

#[test]
fn a_cloud_id_is_the_address_of_its_deployment() {
    // eu.example.com$0123abcd$kibana, and the same with a port.
    for (id, address) in [
        (
            "prod:ZXUuZXhhbXBsZS5jb20kMDEyM2FiY2Qka2liYW5h",
            "https://0123abcd.eu.example.com/",
        ),
        (
            "prod:ZXUuZXhhbXBsZS5jb206OTI0MyQwMTIzYWJjZA==",
            "https://0123abcd.eu.example.com:9243/",
        ),
    ] {
        let config = section(&format!("cloud_id = '{id}'"));
        config.check().unwrap();
        assert_eq!(config.addresses().unwrap()[0].as_str(), address);
    }
}

#[test]
fn a_fingerprint_needs_tls() {
    let fingerprint = "ab".repeat(32);
    let with = |host: &str| {
        section(&format!(
            "hosts = ['{host}']\nca_fingerprint = '{fingerprint}'"
        ))
    };
    with("https://a").check().unwrap();
    let error = with("http://a").check().unwrap_err().to_string();
    assert!(error.contains("not https"), "{error}");
    assert!(toml::from_str::<Elasticsearch>("ca_fingerprint = 'ab'").is_err());
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
