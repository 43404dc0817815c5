use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use lentil_files::S3Url;
use lentil_server::{AuthConfig, TrustedProxies};

use crate::error::ServeError;
use crate::memory;

/// The settings of `serve`. Each is a flag and an environment variable.
#[derive(Args, Clone)]
pub(crate) struct ServeArgs {
    /// The address to listen on.
    #[arg(long, env = "LENTIL_HOST", default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, env = "LENTIL_PORT", default_value_t = 3210)]
    pub(crate) port: u16,
    /// A second port that serves only the application's routes, like Convex's site origin; 0 takes
    /// a free one.
    #[arg(long, env = "LENTIL_SITE_PORT")]
    pub(crate) site_port: Option<u16>,
    /// The folder of the database, the keys and, without --files, the files.
    #[arg(long, env = "LENTIL_DATA", default_value = "data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Where files are stored, such as s3://bucket/prefix. The default is the data folder. S3 takes
    /// credentials, region and endpoint from the AWS_… variables. Only one database may use a
    /// prefix.
    #[arg(long, env = "LENTIL_FILES", value_name = "URL")]
    pub(crate) files: Option<String>,
    /// The URL under which clients reach the server, such as https://api.example.com. The default
    /// is the address it listens on.
    #[arg(long, env = "LENTIL_ORIGIN", value_name = "URL")]
    pub(crate) origin: Option<String>,
    /// The proxies in front of the server, such as 10.0.0.0/8,::1. A client's address is then the
    /// last one in X-Forwarded-For, or Forwarded, that is not a trusted proxy's.
    #[arg(
        long,
        env = "LENTIL_TRUSTED_PROXIES",
        value_name = "NETWORKS",
        default_value = ""
    )]
    pub(crate) trusted_proxies: TrustedProxies,
    /// The maximum number of connections from one address, or IPv6 /64. The default is half of all
    /// connections. Raise it behind a proxy that is not trusted.
    #[arg(long, env = "LENTIL_CONNECTIONS_PER_ADDRESS", value_name = "NUMBER")]
    pub(crate) connections_per_address: Option<usize>,
    /// The server closes a connection or stream when none of its bytes have moved for this many
    /// seconds.
    #[arg(
        long,
        env = "LENTIL_PROGRESS_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    pub(crate) progress_timeout: u64,
    /// A file with the providers whose tokens sign users in, as the JSON of Convex's `auth.config`.
    #[arg(long, env = "LENTIL_AUTH_CONFIG", value_name = "FILE")]
    pub(crate) auth_config: Option<PathBuf>,
    /// The same JSON as a value.
    #[arg(
        long,
        env = "LENTIL_AUTH_CONFIG_JSON",
        value_name = "JSON",
        conflicts_with = "auth_config"
    )]
    pub(crate) auth_config_json: Option<String>,
    /// Starts without acknowledged commits that are missing because the write-ahead log was damaged
    /// or lost.
    // This parser lets `LENTIL_ACCEPT_DATA_LOSS=0` switch the setting off.
    #[arg(long, env = "LENTIL_ACCEPT_DATA_LOSS", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) accept_data_loss: bool,
    /// Starts although the last commit is more than a day ahead of the clock, and continues from
    /// its time.
    #[arg(long, env = "LENTIL_ACCEPT_CLOCK_CHANGE", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) accept_clock_change: bool,
    /// The memory that the server may hold for all clients, such as 512M. The default is a quarter
    /// of the available memory, at least 256M.
    #[arg(long, env = "LENTIL_MEMORY_LIMIT", value_name = "BYTES", value_parser = memory::parse_size)]
    pub(crate) memory_limit: Option<usize>,
    /// The memory that the server may hold for one HTTP connection or WebSocket.
    #[arg(long, env = "LENTIL_CLIENT_MEMORY_LIMIT", value_name = "BYTES", default_value = "128M", value_parser = memory::parse_size)]
    pub(crate) client_memory_limit: usize,
    /// Shows internal details in errors, for development.
    #[arg(long, env = "LENTIL_DEV", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) dev: bool,
    /// The log level: error, warn, info, debug, trace, or a filter such as
    /// `info,lentil_sqlite=debug`.
    #[arg(
        long,
        env = "LENTIL_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub(crate) log: String,
    /// The format of the log, which goes to standard error.
    #[arg(long, env = "LENTIL_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One line per event.
    Text,
    /// One JSON object per event.
    Json,
}

impl ServeArgs {
    /// Returns the providers whose tokens sign users in. The default is none.
    pub(crate) fn auth_config(&self) -> Result<AuthConfig, ServeError> {
        let json = match (&self.auth_config, &self.auth_config_json) {
            (Some(path), _) => fs::read_to_string(path).map_err(|io| ServeError::Setting {
                name: "--auth-config",
                reason: format!("{}: {io}", path.display()),
            })?,
            (None, Some(json)) => json.clone(),
            (None, None) => return Ok(AuthConfig::default()),
        };
        AuthConfig::parse(&json).map_err(ServeError::Auth)
    }

    /// Returns the origin without a `/` at its end, if one is set.
    pub(crate) fn origin(&self) -> Result<Option<String>, ServeError> {
        let Some(origin) = &self.origin else {
            return Ok(None);
        };
        let host = origin
            .strip_prefix("https://")
            .or_else(|| origin.strip_prefix("http://"))
            .unwrap_or_default();
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\"".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_plain) {
            return Err(ServeError::Setting {
                name: "--origin",
                reason: format!(
                    "`{origin}` is not an origin; write one such as https://api.example.com"
                ),
            });
        }
        Ok(Some(origin.trim_end_matches('/').to_owned()))
    }

    /// Returns the location of files on S3, if one is set.
    pub(crate) fn files_url(&self) -> Result<Option<S3Url>, ServeError> {
        let Some(url) = &self.files else {
            return Ok(None);
        };
        match url.parse() {
            Ok(url) => Ok(Some(url)),
            Err(error) => Err(ServeError::Setting {
                name: "--files",
                reason: lentil_files::S3UrlError::to_string(&error),
            }),
        }
    }
}
