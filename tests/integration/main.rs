//! Against real servers. `ETHMON_TEST_ELASTICSEARCH` names one (tests/run starts it); without it these tests say that they are
//! skipped, and fail where CI is set.

// Helpers of tests are tests.
#![allow(clippy::unwrap_used)]

mod agent;
mod aggregator;
mod alerts;
mod beacon_node;
mod bulk_server;
mod clock;
mod elastic;
mod execution;
mod failures;
mod fleet;
mod forks;
mod head_split;
mod mail_server;
mod mail_tls;
mod operation;
mod packets;
mod processors;
mod setup;
mod shipping;
mod support;
mod tidy;
