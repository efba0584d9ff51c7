//! Everything that needs a socket or a server. `ETHMON_TEST_ELASTICSEARCH` is the URL of a real Elasticsearch without
//! security; the tests that need one say so and pass where it is absent.

mod shipping;
mod support;
