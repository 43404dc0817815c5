use std::time::Duration;

use lentil_runtime::http::Secret;

use crate::auth::AuthConfig;
use crate::peer::TrustedProxies;

/// The settings of the server: its name, its keys, and the limits of clients. The defaults are for
/// production.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The response of `GET /version`.
    pub version: String,
    /// The response of `GET /instance_name`, and the part of the admin key before its `|`.
    pub instance_name: String,
    /// The administrator's key. Without one no caller is the administrator.
    pub admin_key: Option<Secret>,
    /// The providers whose tokens sign users in.
    pub auth: AuthConfig,
    /// The proxies whose headers about their clients' addresses are trusted.
    pub trusted_proxies: TrustedProxies,
    /// The most open connections. Further ones wait to be accepted.
    pub max_connections: usize,
    /// The most open connections of one client's address, or IPv6 /64. Further ones are refused
    /// with 503. Trusted proxies have no limit. Behind them, the limit applies to the WebSockets of
    /// each client.
    pub max_connections_per_address: usize,
    /// The most bytes of a request head.
    pub max_head_bytes: usize,
    /// The time for a request head, which is also the keep-alive timeout. It begins when the
    /// connection is accepted, or when the last response ends. The default is longer than the
    /// timeouts of usual client pools, so that a client seldom reuses a connection that the server
    /// is closing.
    pub head_timeout: Duration,
    /// The time for the first bytes of a connection, which show whether it speaks HTTP/1 or HTTP/2.
    pub first_byte_timeout: Duration,
    /// The most bytes of a request body for a route of the application.
    pub max_body_bytes: usize,
    /// The longest time without progress while bytes wait for the client, or while its request body
    /// is incomplete. The execution time of functions does not count.
    pub progress_timeout: Duration,
    /// The waiting time after which `min_bytes_per_second` applies.
    pub progress_grace: Duration,
    /// The lowest rate at which a client may read or send, on average over the time that the server
    /// has waited for it.
    pub min_bytes_per_second: u32,
    /// The most uploads that store bytes concurrently. An upload that waits for its client does not
    /// count.
    pub max_uploads: usize,
    /// The most unfinished uploads of one client's address. Further ones are refused with 429.
    pub max_uploads_per_address: usize,
    /// The most unfinished uploads with one upload token. Further ones are refused with 429.
    pub max_uploads_per_token: usize,
    /// The most concurrent streams of one HTTP/2 connection.
    pub max_streams: u32,
    /// The time that running requests have to finish when the server shuts down.
    pub drain_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions {
            version: "unknown".to_owned(),
            instance_name: "lentil".to_owned(),
            admin_key: None,
            auth: AuthConfig::default(),
            trusted_proxies: TrustedProxies::default(),
            max_connections: 10_000,
            max_connections_per_address: 5_000,
            max_head_bytes: 32 << 10,
            head_timeout: Duration::from_secs(75),
            first_byte_timeout: Duration::from_secs(15),
            max_body_bytes: 20 << 20,
            progress_timeout: Duration::from_secs(30),
            progress_grace: Duration::from_secs(30),
            min_bytes_per_second: 1 << 10,
            max_uploads: 256,
            max_uploads_per_address: 64,
            max_uploads_per_token: 16,
            max_streams: 128,
            drain_timeout: Duration::from_secs(20),
        }
    }
}
