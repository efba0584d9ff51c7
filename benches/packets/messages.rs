//! What the conversations say: DNS, HTTP and TLS as their programs write it.

pub(crate) fn dns_question(id: u16, name: &str) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// Two addresses.
pub(crate) fn dns_answer(question: &[u8]) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2..4].copy_from_slice(&[0x81, 0x80]);
    message[7] = 2;
    for last in [1, 2] {
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 192, 0, 2, last]);
    }
    message
}

pub(crate) fn http_request(number: usize) -> Vec<u8> {
    format!(
        "GET /eth/v2/beacon/blocks/{number}?token=hidden HTTP/1.1\r\nHost: 127.0.0.1:5052\r\nUser-Agent: validator/1.0\r\n\
         Accept: application/json\r\nAuthorization: Bearer hidden\r\nConnection: keep-alive\r\n\r\n"
    )
    .into_bytes()
}

pub(crate) fn http_response(body: usize) -> Vec<u8> {
    let mut message = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: beacon/1.0\r\nContent-Length: {body}\r\n\r\n"
    )
    .into_bytes();
    message.resize(message.len() + body, b'x');
    message
}

pub(crate) fn client_hello() -> Vec<u8> {
    let mut extensions = Vec::new();
    let name = b"node.example.org";
    let mut sni = vec![0, name.len() as u8 + 3, 0, 0, name.len() as u8];
    sni.extend_from_slice(name);
    extension(&mut extensions, 0, &sni);
    extension(&mut extensions, 10, &[0, 6, 0, 29, 0, 23, 0, 24]);
    extension(&mut extensions, 11, &[1, 0]);
    extension(
        &mut extensions,
        13,
        &[0, 12, 4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1],
    );
    extension(&mut extensions, 16, b"\x00\x0c\x02h2\x08http/1.1");
    let mut body = hello(&[
        0, 16, 0x13, 0x01, 0x13, 0x02, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9,
        0xcc, 0xa8, 1, 0,
    ]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    record(22, &handshake(1, &body))
}

/// Hello, certificate and "done", in records of their own.
pub(crate) fn server_flight(certificate: &[u8]) -> Vec<u8> {
    let mut body = hello(&[0xc0, 0x2f, 0]);
    body.extend([0, 5, 0xff, 0x01, 0, 1, 0]);
    let mut flight = record(22, &handshake(2, &body));
    let length = |bytes: usize| (bytes as u32).to_be_bytes()[1..].to_vec();
    let mut chain = length(certificate.len() + 3);
    chain.extend(length(certificate.len()));
    chain.extend_from_slice(certificate);
    flight.extend(record(22, &handshake(11, &chain)));
    flight.extend(record(22, &handshake(14, &[])));
    flight
}

/// A change of ciphers, and a message that can't be read.
pub(crate) fn finished() -> Vec<u8> {
    let mut flight = record(20, &[1]);
    flight.extend(record(22, &[0x5a; 40]));
    flight
}

pub(crate) fn application_data(bytes: usize) -> Vec<u8> {
    record(23, &vec![0x5a; bytes])
}

/// Version, random, no session.
fn hello(rest: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend_from_slice(rest);
    body
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(&(body.len() as u32).to_be_bytes()[1..]);
    message.extend_from_slice(body);
    message
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3];
    record.extend((body.len() as u16).to_be_bytes());
    record.extend_from_slice(body);
    record
}

fn extension(into: &mut Vec<u8>, kind: u16, data: &[u8]) {
    into.extend(kind.to_be_bytes());
    into.extend((data.len() as u16).to_be_bytes());
    into.extend_from_slice(data);
}
