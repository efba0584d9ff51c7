pub mod bulk_server;
