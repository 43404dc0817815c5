use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lentil_runtime::http::Secret;
use lentil_runtime::memory::MemoryLimits;
use lentil_runtime::{Runtime, RuntimeOptions};
use lentil_server::{AuthConfig, Listeners, ServerOptions};
use lentil_sqlite::{SqliteOptions, SqliteStore};
use lentil_system::System;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::backend::Backend;
use crate::error::ServeError;
use crate::files::FileLocation;
use crate::open_files::allow_connections;
use crate::secrets::{self, ADMIN_KEY, FoundSecret};
use crate::settings::ServeArgs;
use crate::startup_banner::startup_banner;
use crate::{memory, progress};

/// Tasks that a worker runs before it polls the I/O driver. tokio's default is 61. A committed
/// batch makes all its callers ready at once, and new reads would wait behind them.
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
    // First everything that needs no access to the data folder: an error there leaves the folder
    // unchanged.
    let mut names = backend.application.secrets().to_vec();
    names.push(ADMIN_KEY.to_owned());
    let environment = secrets::from_environment(&names, |name| {
        // Bytes that are not UTF-8 become U+FFFD, which the check of secrets rejects.
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    })?;
    let crons = std::mem::take(&mut backend.crons);
    let system = System::new(&backend.application, crons)?;
    let auth = args.auth_config()?;
    let origin = args.origin()?;
    let files_url = args.files_url()?;
    let listeners = listen(args).await?;
    let location = FileLocation::find(files_url.as_ref(), &args.data).await?;
    // A signal that arrives from here on stops the server in order, once it has started.
    let signals = StopSignals::new()?;

    let store = open_store(args).await?;
    let secrets = secrets::find(&names, environment, &args.data, &backend.name)?;
    let files = location.open(&args.data).await?;

    let listening = listeners.main.local_addr()?;
    let origin = origin.unwrap_or_else(|| format!("http://{}", reachable(listening)));
    let options = RuntimeOptions {
        files,
        origin,
        server_paths: lentil_server::SERVER_PATHS,
        ..runtime_options(&backend, args, &secrets)
    };
    let application = std::mem::take(&mut backend.application);
    let runtime = Runtime::open(application, system.modules(), Arc::new(store), options).await?;

    let site = match &listeners.site {
        Some(site) => Some(site.local_addr()?),
        None => None,
    };
    let banner = startup_banner(&backend, listening, site, &args.data, &secrets);
    // A closed standard output does not stop the server.
    let _ = io::stdout()
        .write_all(banner.as_bytes())
        .and_then(|()| io::stdout().flush());

    let options = server_options(&backend, args, &secrets, auth);
    let memory_return = tokio::spawn(memory::return_freed(runtime.memory().clone()));
    lentil_server::serve(listeners, runtime.clone(), options, signals.recv()).await;
    memory_return.abort();
    runtime.close().await.map_err(ServeError::Close)
}

/// The signals that stop the server.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> io::Result<StopSignals> {
        Ok(StopSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the first signal.
    async fn recv(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn open_store(args: &ServeArgs) -> Result<SqliteStore, ServeError> {
    let folder = args.data.clone();
    let options = SqliteOptions {
        accept_data_loss: args.accept_data_loss,
        accept_clock_change: args.accept_clock_change,
        ..SqliteOptions::default()
    };
    let opening = tokio::task::spawn_blocking(move || SqliteStore::open(&folder, options));
    Ok(opening.await.map_err(io::Error::other)??)
}

fn server_options(
    backend: &Backend,
    args: &ServeArgs,
    secrets: &[FoundSecret],
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

/// Returns an address at which this machine reaches the server. It replaces an unspecified address
/// by the local host.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listening.port())
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

fn runtime_options(backend: &Backend, args: &ServeArgs, found: &[FoundSecret]) -> RuntimeOptions {
    let secrets: HashMap<String, Secret> = found
        .iter()
        // Functions must not be able to read the administrator's key.
        .filter(|secret| secret.name != ADMIN_KEY)
        .map(|secret| (secret.name.clone(), Secret::new(secret.value.clone())))
        .collect();
    let admin_key = found.iter().find(|secret| secret.name == ADMIN_KEY);
    RuntimeOptions {
        // The admin key does not change, so upload URLs stay valid across restarts.
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
