use std::time::Duration;

use lentil_runtime::http::Secret;

use crate::auth::AuthConfig;
use crate::peer::TrustedProxies;

/// What the server tells of itself, and what a client may take. The defaults are for production.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// What `GET /version` answers.
    pub version: String,
    /// What `GET /instance_name` answers, and what stands before the `|` of the admin key.
    pub instance_name: String,
    /// The administrator's key; without one nobody is the administrator.
    pub admin_key: Option<Secret>,
    /// Whose tokens sign users in.
    pub auth: AuthConfig,
    /// The proxies whose headers give the addresses of their clients.
    pub trusted_proxies: TrustedProxies,
    /// Connections at the same time; further ones wait to be accepted.
    pub max_connections: usize,
    /// Connections of one client's address, or IPv6 /64, at the same time; further ones are refused with 503. Trusted
    /// proxies have no limit: behind them, the WebSockets of each client are counted.
    pub max_connections_per_address: usize,
    /// Bytes of a request's head.
    pub max_head_bytes: usize,
    /// How long a request's head may take, from the connection's or the last answer's end on; so also how long an
    /// idle connection is kept. Longer than the pools of the usual clients keep theirs.
    pub head_timeout: Duration,
    /// How long a connection may take to show whether it speaks HTTP/1 or HTTP/2.
    pub first_byte_timeout: Duration,
    /// Bytes of a request's body.
    pub max_body_bytes: usize,
    /// The longest time in which none of a client's bytes move while some wait for it, or its request's body is
    /// incomplete. The execution time of functions does not count.
    pub progress_timeout: Duration,
    /// The waiting time after which the rate of a client's bytes matters.
    pub progress_grace: Duration,
    /// Bytes a second that a client must take or send then, on average over the time that it was waited for.
    pub min_bytes_per_second: u32,
    /// Uploads whose bytes are stored at the same time. An upload that waits for its client does not count.
    pub max_uploads: usize,
    /// Unfinished uploads of one client's address; further ones are refused with 429.
    pub max_uploads_per_address: usize,
    /// Unfinished uploads with one upload token; further ones are refused with 429.
    pub max_uploads_per_token: usize,
    /// Streams at the same time on one HTTP/2 connection.
    pub max_streams: u32,
    /// How long running requests have to finish when the server stops.
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
