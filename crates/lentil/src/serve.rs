use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lentil_files::S3Url;
use lentil_runtime::http::Secret;
use lentil_runtime::memory::MemoryLimits;
use lentil_runtime::{OpenError, Runtime, RuntimeOptions};
use lentil_server::{AuthConfig, AuthConfigError, Listeners, ServerOptions};
use lentil_sqlite::{SqliteOptions, SqliteStore};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ServeArgs;
use crate::files::Place;
use crate::open_files::allow_connections;
use crate::secrets::{self, ADMIN_KEY, Found, SecretError};
use crate::{Backend, memory, progress, screen};

/// Why the server does not run. Each is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ServeError {
    #[error("{name}: {reason}")]
    Setting { name: &'static str, reason: String },
    #[error("cannot listen on {address}: {io}; stop what uses it, or choose another with {flag}")]
    Listen {
        address: SocketAddr,
        flag: &'static str,
        io: io::Error,
    },
    #[error(transparent)]
    Auth(AuthConfigError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Database(#[from] lentil_sqlite::OpenError),
    #[error(transparent)]
    Application(#[from] OpenError),
    #[error("the files cannot be kept: {0}")]
    Files(#[from] lentil_store::FileError),
    #[error(
        "{0} has the files of another database; name a place of its own with --files, or, if it is this database that \
         was moved or restored, copy the file `files-owner` of its data folder too"
    )]
    ForeignFiles(String),
    #[error("the store could not be closed: {0}")]
    Close(lentil_store::StoreError),
    #[error("{0}")]
    System(#[from] io::Error),
}

/// How many tasks a worker runs before it looks what has come in. When a batch of mutations is answered, all who wait
/// for it are ready at once, and with tokio's 61 a read that comes then is not even seen before the most of them.
const EVENT_INTERVAL: u32 = 16;

/// Serves until SIGTERM or SIGINT, then drains.
pub(crate) fn serve(backend: Backend, args: &ServeArgs) -> Result<(), ServeError> {
    let mut workers = tokio::runtime::Builder::new_multi_thread();
    workers
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build()?
        .block_on(run(backend, args))
}

async fn run(mut backend: Backend, args: &ServeArgs) -> Result<(), ServeError> {
    // What can be refused without touching the disk is refused first.
    let mut names = backend.application.secrets().to_vec();
    names.push(ADMIN_KEY.to_owned());
    let environment = secrets::from_environment(&names, |name| {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    })?;
    let auth = auth_config(args)?;
    let origin = args.origin.as_deref().map(check_origin).transpose()?;
    let s3 = args.files.as_deref().map(s3_url).transpose()?;
    let listeners = listen(args).await?;
    let place = Place::find(s3.as_ref(), &args.data).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let folder = args.data.clone();
    let sqlite = SqliteOptions {
        accept_data_loss: args.accept_data_loss,
        accept_clock_change: args.accept_clock_change,
        ..SqliteOptions::default()
    };
    let opening = tokio::task::spawn_blocking(move || SqliteStore::open(&folder, sqlite));
    let store = opening.await.map_err(io::Error::other)??;
    let secrets = secrets::find(&names, environment, &args.data, &backend.name)?;
    let application = std::mem::take(&mut backend.application);
    let files = place.open(&args.data).await?;
    let listening = listeners.main.local_addr()?;
    let origin = origin.unwrap_or_else(|| format!("http://{}", reachable(listening)));
    let options = RuntimeOptions {
        files,
        origin,
        ..options(&backend, args, &secrets)
    };
    let runtime = Runtime::open(application, Arc::new(store), options).await?;

    let site = listeners
        .site
        .as_ref()
        .map(TcpListener::local_addr)
        .transpose()?;
    let first_screen = screen::first_screen(&backend, listening, site, &args.data, &secrets);
    // Nobody need read the screen for the server to serve.
    let _ = io::stdout()
        .write_all(first_screen.as_bytes())
        .and_then(|()| io::stdout().flush());

    let shutdown = async move {
        tokio::select! { _ = terminate.recv() => "SIGTERM", _ = interrupt.recv() => "SIGINT" };
    };
    let options = server_options(&backend, args, &secrets, auth);
    let returning = tokio::spawn(memory::return_freed(runtime.memory().clone()));
    lentil_server::serve(listeners, runtime.clone(), options, shutdown).await;
    returning.abort();
    runtime.close().await.map_err(ServeError::Close)
}

fn server_options(
    backend: &Backend,
    args: &ServeArgs,
    secrets: &[Found],
    auth: AuthConfig,
) -> ServerOptions {
    let max_connections = allow_connections(ServerOptions::default().max_connections);
    let admin_key = secrets.iter().find(|secret| secret.name == ADMIN_KEY);
    ServerOptions {
        version: backend.version.clone(),
        instance_name: backend.name.clone(),
        admin_key: admin_key.map(|secret| Secret::new(secret.value.clone())),
        auth,
        trusted_proxies: args.trusted_proxies.clone(),
        progress_timeout: Duration::from_secs(args.progress_timeout),
        max_connections,
        max_connections_per_address: args.connections_per_address.unwrap_or(max_connections / 2),
        ..ServerOptions::default()
    }
}

/// Reads whose tokens sign users in; nobody's, when nothing is said.
fn auth_config(args: &ServeArgs) -> Result<AuthConfig, ServeError> {
    let json = match (&args.auth_config, &args.auth_config_json) {
        (Some(path), _) => std::fs::read_to_string(path).map_err(|io| ServeError::Setting {
            name: "--auth-config",
            reason: format!("{}: {io}", path.display()),
        })?,
        (None, Some(json)) => json.clone(),
        (None, None) => return Ok(AuthConfig::default()),
    };
    AuthConfig::parse(&json).map_err(ServeError::Auth)
}

/// Where a server on this machine is reached; one that listens everywhere also does here.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let here = if listening.is_ipv4() {
        Ipv4Addr::LOCALHOST.into()
    } else {
        Ipv6Addr::LOCALHOST.into()
    };
    let ip = if listening.ip().is_unspecified() {
        here
    } else {
        listening.ip()
    };
    SocketAddr::new(ip, listening.port())
}

/// The origin without a `/` at its end.
fn check_origin(origin: &str) -> Result<String, ServeError> {
    let host = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"))
        .unwrap_or_default();
    let plain = host
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"?#\"".contains(&byte));
    if host.is_empty() || !plain {
        let reason = format!("`{origin}` is no origin; write one such as https://api.example.com");
        return Err(ServeError::Setting {
            name: "--origin",
            reason,
        });
    }
    Ok(origin.trim_end_matches('/').to_owned())
}

fn s3_url(text: &str) -> Result<S3Url, ServeError> {
    let invalid = |error: lentil_files::S3UrlError| ServeError::Setting {
        name: "--files",
        reason: error.to_string(),
    };
    text.parse().map_err(invalid)
}

async fn listen(args: &ServeArgs) -> Result<Listeners, ServeError> {
    let bind = async |port: u16, flag: &'static str| {
        let address = SocketAddr::new(args.host, port);
        TcpListener::bind(address)
            .await
            .map_err(|io| ServeError::Listen { address, flag, io })
    };
    let main = bind(args.port, "--port").await?;
    let site = match args.site_port {
        Some(port) => Some(bind(port, "--site-port").await?),
        None => None,
    };
    Ok(Listeners { main, site })
}

fn options(backend: &Backend, args: &ServeArgs, found: &[Found]) -> RuntimeOptions {
    let secrets: HashMap<String, Secret> = found
        .iter()
        .filter(|secret| secret.name != ADMIN_KEY)
        .map(|secret| (secret.name.clone(), Secret::new(secret.value.clone())))
        .collect();
    let admin_key = found.iter().find(|secret| secret.name == ADMIN_KEY);
    RuntimeOptions {
        upload_secret: admin_key.map(|secret| Secret::new(secret.value.clone())),
        dev: args.dev,
        limits: backend.limits.clone(),
        memory: MemoryLimits {
            process: args.memory_limit.unwrap_or_else(memory::default_limit),
            client: args.client_memory_limit,
        },
        secrets,
        progress: Box::new(progress::show),
        ..RuntimeOptions::default()
    }
}
