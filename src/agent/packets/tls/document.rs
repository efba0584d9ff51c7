//! The document of a handshake.

use serde_json::{Map, Value, json};

use super::super::address::Side;
use super::super::transaction::{Scene, Span};
use super::hello::{
    GROUPS, Hello, POINT_FORMATS, PRE_SHARED_KEY, PROTOCOLS, SERVER_NAME, SIGNATURES, VERSIONS,
    version,
};
use super::{Tls, certificate, ciphers, fingerprint, names};
use crate::event::{DataStream, Event};

impl Tls {
    pub(super) fn document(&self, scene: &Scene<'_>) -> Event {
        let bytes = |side: Side| self.halves[side as usize].bytes;
        let span = Span {
            from: if self.client.is_some() {
                self.began
            } else {
                scene.at
            },
            to: scene.at,
            client_bytes: bytes(scene.client),
            server_bytes: bytes(scene.client.other()),
        };
        let mut event = scene.event(DataStream::Tls, "tls", span, "handshake");
        let established = self.is_established();
        let mut tls = json!({"established": established, "resumed": false});
        let mut detailed = json!({
            "client_certificate_requested": self.client_certificate_requested,
        });
        if let Some(client) = &self.client {
            tls["client"] = client_fields(client);
            detailed["client_hello"] = hello(client, true);
            if let Some(name) = &client.server_name {
                event.document.set("server.domain", name.as_str());
                event.document.set("destination.domain", name.as_str());
                event.document.set("related.hosts", json!([name]));
            }
        }
        if let Some(server) = &self.server {
            let (protocol, number) = names::version(version(server));
            tls["version"] = number.into();
            tls["version_protocol"] = protocol.into();
            tls["cipher"] = server
                .ciphers
                .first()
                .map(|cipher| ciphers::name(*cipher))
                .into();
            tls["server"] = json!({"ja3s": fingerprint::ja3s(server)});
            if let Some(next) = server.protocols.first() {
                tls["next_protocol"] = next.as_str().into();
            }
            if let Some(method) = self.resumption(server) {
                tls["resumed"] = true.into();
                detailed["resumption_method"] = method.into();
            }
            detailed["version"] = names::version_text(version(server)).into();
            detailed["server_hello"] = hello(server, false);
        }
        for (side, chain) in [
            ("server", &self.server_chain),
            ("client", &self.client_chain),
        ] {
            let Some((own, above)) = chain.split_first() else {
                continue;
            };
            let mut fields = certificate::fields(own);
            if let Some(Value::Object(known)) = tls.get(side) {
                fields.extend(known.clone());
            }
            tls[side] = fields.into();
            let above: Vec<Value> = above
                .iter()
                .filter_map(|der| certificate::short(der))
                .collect();
            if !above.is_empty() {
                detailed[format!("{side}_certificate_chain")] = above.into();
            }
        }
        if !self.alerts.is_empty() {
            detailed["alert_types"] = self
                .alerts
                .iter()
                .map(|alert| names::alert(*alert))
                .collect();
        }
        tls["detailed"] = detailed;
        event.document.set("tls", tls);
        event.with("status", if established { "OK" } else { "Error" })
    }

    /// How a session went on that was begun earlier.
    fn resumption(&self, server: &Hello) -> Option<&'static str> {
        let client = self.client.as_ref()?;
        if version(server) >= 0x0304 {
            return server.extensions.contains(&PRE_SHARED_KEY).then_some("psk");
        }
        let echoed = !client.session_id.is_empty() && client.session_id == server.session_id;
        let resumed = echoed && self.server_chain.is_empty();
        resumed.then_some(if client.has_ticket { "ticket" } else { "id" })
    }
}

fn client_fields(client: &Hello) -> Value {
    let suites: Vec<String> = client
        .ciphers
        .iter()
        .map(|cipher| ciphers::name(*cipher))
        .collect();
    let mut fields = json!({
        "ja3": fingerprint::ja3(client),
        "ja4": fingerprint::ja4(client),
        "supported_ciphers": suites,
    });
    if let Some(name) = &client.server_name {
        fields["server_name"] = name.as_str().into();
    }
    fields
}

fn hello(hello: &Hello, is_client: bool) -> Value {
    let mut fields = Map::new();
    fields.insert(
        "version".into(),
        names::wire_version(hello.legacy_version).into(),
    );
    if !hello.session_id.is_empty() {
        fields.insert("session_id".into(), hex::encode(&hello.session_id).into());
    }
    let methods: Vec<String> = hello
        .compressions
        .iter()
        .map(|method| names::compression(*method))
        .collect();
    match is_client {
        true => fields.insert("supported_compression_methods".into(), methods.into()),
        false => fields.insert(
            "selected_compression_method".into(),
            methods.into_iter().next().into(),
        ),
    };
    let mut extensions = Map::new();
    let mut set = |name: &str, values: Vec<String>| {
        if !values.is_empty() {
            extensions.insert(name.to_owned(), values.into());
        }
    };
    set(
        "server_name_indication",
        hello.server_name.iter().cloned().collect(),
    );
    set(
        "application_layer_protocol_negotiation",
        hello.protocols.clone(),
    );
    set(
        "supported_groups",
        hello.groups.iter().map(|id| names::group(*id)).collect(),
    );
    set(
        "ec_points_formats",
        hello
            .point_formats
            .iter()
            .map(|id| names::point_format(*id))
            .collect(),
    );
    set(
        "signature_algorithms",
        hello
            .signatures
            .iter()
            .map(|id| names::signature(*id))
            .collect(),
    );
    set(
        "supported_versions",
        hello
            .versions
            .iter()
            .map(|id| names::version_text(*id))
            .collect(),
    );
    let read = [GROUPS, POINT_FORMATS, SIGNATURES, PROTOCOLS, VERSIONS];
    let unread = hello
        .extensions
        .iter()
        .filter(|id| !(read.contains(id) || is_client && **id == SERVER_NAME));
    set(
        "_unparsed_",
        unread.map(|id| names::extension(*id)).collect(),
    );
    if !extensions.is_empty() {
        fields.insert("extensions".into(), extensions.into());
    }
    fields.into()
}
