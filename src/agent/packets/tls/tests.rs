//! Hellos in every cut and shape; real handshakes are compared with tshark in tests/integration.

use proptest::prelude::*;

use super::hello::{certificates, client_hello, server_hello};
use super::{certificate, record};

#[test]
fn a_hello_of_the_simplest_kind() {
    let mut body = vec![3, 3];
    body.extend([0; 32]);
    body.extend([0, 0, 4, 0x13, 1, 0x13, 2, 1, 0]);
    body.extend([
        0, 16, 0, 0, 0, 7, 0, 5, 0, 0, 2, b'a', b'b', 0x2a, 0x2a, 0, 1, 0,
    ]);
    let hello = client_hello(&body).unwrap();
    assert_eq!(hello.server_name.as_deref(), Some("ab"));
    assert_eq!(hello.ciphers, [0x1301, 0x1302]);
    assert_eq!(hello.extensions, [0, 0x2a2a]);
    assert_eq!(
        record(&[22, 3, 1, 0, 2, 9, 9, 7]),
        Some((22, &[9, 9][..], &[7][..]))
    );
    assert_eq!(record(b"GET / HTTP/1.1\r\n"), None);
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        client_hello(&bytes);
        server_hello(&bytes);
        certificates(&bytes);
        record(&bytes);
        certificate::fields(&bytes);
    }
}
