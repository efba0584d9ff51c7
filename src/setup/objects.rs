//! What `ethmon setup` installs, as embedded from `index-templates/`.

use serde_json::Value;

use crate::event::DataStream;

/// What `--only` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Component and index templates, and the mappings of data streams that exist already.
    Templates,
    /// How long data is kept.
    Lifecycle,
    /// The plain indices in which the aggregator keeps its state.
    Indices,
    /// Roles for agent, aggregator and readers.
    Roles,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    ComponentTemplate,
    IndexTemplate,
    Index,
    Role,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::ComponentTemplate => "component template",
            Self::IndexTemplate => "index template",
            Self::Index => "index",
            Self::Role => "role",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    pub kind: Kind,
    /// As Elasticsearch knows it.
    pub name: String,
    pub body: Value,
}

impl Object {
    fn parse(kind: Kind, name: impl Into<String>, text: &str) -> anyhow::Result<Self> {
        Ok(Self {
            kind,
            name: name.into(),
            body: serde_json::from_str(text)?,
        })
    }

    pub fn belongs_to(&self, part: Part) -> bool {
        match part {
            Part::Templates => matches!(self.kind, Kind::ComponentTemplate | Kind::IndexTemplate),
            Part::Lifecycle => self.body.pointer("/template/lifecycle").is_some(),
            Part::Indices => self.kind == Kind::Index,
            Part::Roles => self.kind == Kind::Role,
        }
    }
}

macro_rules! embedded {
    ($folder:literal, $name:literal) => {
        (
            $name,
            include_str!(concat!(
                "../../index-templates/",
                $folder,
                "/",
                $name,
                ".json"
            )),
        )
    };
}

type Embedded = (&'static str, &'static str);

pub(super) const COMPONENTS: [Embedded; 6] = [
    embedded!("components", "ethmon-settings"),
    embedded!("components", "ethmon-retention-short"),
    embedded!("components", "ethmon-retention-long"),
    embedded!("components", "ethmon-envelope"),
    embedded!("components", "ethmon-metricset"),
    embedded!("components", "ethmon-network-traffic"),
];

pub(super) const INDICES: [Embedded; 2] = [
    embedded!("indices", "ethmon-states"),
    embedded!("indices", "ethmon-notices"),
];

pub(super) const ROLES: [Embedded; 3] = [
    embedded!("roles", "ethmon-agent"),
    embedded!("roles", "ethmon-aggregator"),
    embedded!("roles", "ethmon-reader"),
];

/// The template of a stream. Without one, a stream's documents would be refused (`require_data_stream`).
pub(super) fn stream_template(stream: DataStream) -> Embedded {
    match stream {
        DataStream::BeaconEvent => embedded!("streams", "logs-ethereum.beacon_event"),
        DataStream::Block => embedded!("streams", "logs-ethereum.block"),
        DataStream::Node => embedded!("streams", "metrics-ethereum.node"),
        DataStream::Execution => embedded!("streams", "metrics-ethereum.execution"),
        DataStream::ClientLog => embedded!("streams", "logs-ethereum.client"),
        DataStream::SystemCpu => embedded!("streams", "metrics-system.cpu"),
        DataStream::SystemLoad => embedded!("streams", "metrics-system.load"),
        DataStream::SystemMemory => embedded!("streams", "metrics-system.memory"),
        DataStream::SystemNetwork => embedded!("streams", "metrics-system.network"),
        DataStream::SystemFilesystem => embedded!("streams", "metrics-system.filesystem"),
        DataStream::SystemDiskio => embedded!("streams", "metrics-system.diskio"),
        DataStream::SystemProcessSummary => embedded!("streams", "metrics-system.process.summary"),
        DataStream::SystemCore => embedded!("streams", "metrics-system.core"),
        DataStream::SystemNetworkSummary => embedded!("streams", "metrics-system.network_summary"),
        DataStream::SystemFsstat => embedded!("streams", "metrics-system.fsstat"),
        DataStream::SystemProcess => embedded!("streams", "metrics-system.process"),
        DataStream::SystemSocketSummary => embedded!("streams", "metrics-system.socket.summary"),
        DataStream::SystemUptime => embedded!("streams", "metrics-system.uptime"),
        DataStream::SystemUsers => embedded!("streams", "metrics-system.users"),
        DataStream::SystemService => embedded!("streams", "metrics-system.service"),
        DataStream::SystemRaid => embedded!("streams", "metrics-system.raid"),
        DataStream::NetworkBlock => embedded!("streams", "logs-ethereum.network_block"),
        DataStream::Reorg => embedded!("streams", "logs-ethereum.reorg"),
        DataStream::HeadSplit => embedded!("streams", "logs-ethereum.head_split"),
        DataStream::NetworkEvent => embedded!("streams", "logs-ethereum.network_event"),
        DataStream::Alert => embedded!("streams", "logs-ethmon.alert"),
        DataStream::AgentReport => embedded!("streams", "metrics-ethmon.agent"),
        DataStream::Flow => embedded!("streams", "logs-network_traffic.flow"),
        DataStream::Dns => embedded!("streams", "logs-network_traffic.dns"),
        DataStream::Http => embedded!("streams", "logs-network_traffic.http"),
        DataStream::Tls => embedded!("streams", "logs-network_traffic.tls"),
        DataStream::Icmp => embedded!("streams", "logs-network_traffic.icmp"),
        DataStream::Sip => embedded!("streams", "logs-network_traffic.sip"),
        DataStream::Traffic => embedded!("streams", "metrics-ethereum.traffic"),
        DataStream::Attestation => embedded!("streams", "metrics-ethereum.attestation"),
        DataStream::Participation => embedded!("streams", "metrics-ethereum.participation"),
        DataStream::Slot => embedded!("streams", "logs-ethereum.slot"),
    }
}

/// Everything, in the order in which it can be installed.
pub fn all() -> anyhow::Result<Vec<Object>> {
    let mut objects = Vec::new();
    for (name, text) in COMPONENTS {
        objects.push(Object::parse(Kind::ComponentTemplate, name, text)?);
    }
    for stream in DataStream::ALL {
        let (name, text) = stream_template(stream);
        // Elastic's own integrations have templates of the plain name; these must not be overwritten.
        objects.push(Object::parse(
            Kind::IndexTemplate,
            format!("ethmon-{name}"),
            text,
        )?);
    }
    for (name, text) in INDICES {
        objects.push(Object::parse(Kind::Index, name, text)?);
    }
    for (name, text) in ROLES {
        objects.push(Object::parse(Kind::Role, name, text)?);
    }
    Ok(objects)
}
