use std::error::Error;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use lentil_server::TrustedProxies;

use crate::codegen::{self, CodegenError};
use crate::serve;
use crate::{Backend, logging, memory};

#[derive(Parser)]
#[command(
    about = "A backend of queries, mutations, actions and HTTP routes over a transactional document store"
)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the backend (also without this word).
    Serve(Box<ServeArgs>),
    /// Writes the declarations that TypeScript clients import: api.d.ts, api.js and dataModel.d.ts.
    Codegen(CodegenArgs),
}

#[derive(Args)]
struct CodegenArgs {
    /// The folder to write them into; it is made if it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Writes nothing, and fails if the files are not up to date.
    #[arg(long)]
    check: bool,
}

/// The settings of `serve`; each is a flag and an environment variable.
#[derive(Args, Clone)]
pub(crate) struct ServeArgs {
    /// The address to listen on.
    #[arg(long, env = "LENTIL_HOST", default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, env = "LENTIL_PORT", default_value_t = 3210)]
    pub(crate) port: u16,
    /// A second port for the application's own routes alone, as Convex's site origin; 0 takes a free one.
    #[arg(long, env = "LENTIL_SITE_PORT")]
    pub(crate) site_port: Option<u16>,
    /// The folder that holds the database, the keys, and the files unless they are kept elsewhere.
    #[arg(long, env = "LENTIL_DATA", default_value = "data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Where files are kept, such as s3://bucket/prefix, of this database alone; in the data folder unless told.
    /// Credentials, region and endpoint of S3 are those of the usual variables, AWS_….
    #[arg(long, env = "LENTIL_FILES", value_name = "URL")]
    pub(crate) files: Option<String>,
    /// The URL under which clients reach the server, such as https://api.example.com; where it listens unless told.
    #[arg(long, env = "LENTIL_ORIGIN", value_name = "URL")]
    pub(crate) origin: Option<String>,
    /// The proxies in front of the server, such as 10.0.0.0/8,::1: a client's address is the last one in
    /// X-Forwarded-For, or Forwarded, that is not a trusted proxy's.
    #[arg(
        long,
        env = "LENTIL_TRUSTED_PROXIES",
        value_name = "NETWORKS",
        default_value = ""
    )]
    pub(crate) trusted_proxies: TrustedProxies,
    /// The most connections of one address, or IPv6 /64, at the same time; half of all by default. Raise it behind a
    /// proxy that is not trusted.
    #[arg(long, env = "LENTIL_CONNECTIONS_PER_ADDRESS", value_name = "NUMBER")]
    pub(crate) connections_per_address: Option<usize>,
    /// The seconds after which a client is cut off if none of the bytes of its response or request body move.
    #[arg(
        long,
        env = "LENTIL_PROGRESS_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    pub(crate) progress_timeout: u64,
    /// A file that says whose tokens sign users in, as the JSON of Convex's `auth.config`.
    #[arg(long, env = "LENTIL_AUTH_CONFIG", value_name = "FILE")]
    pub(crate) auth_config: Option<PathBuf>,
    /// The same JSON itself.
    #[arg(
        long,
        env = "LENTIL_AUTH_CONFIG_JSON",
        value_name = "JSON",
        conflicts_with = "auth_config"
    )]
    pub(crate) auth_config_json: Option<String>,
    /// Starts although acknowledged commits are missing, after the write-ahead log was damaged or lost.
    #[arg(long, env = "LENTIL_ACCEPT_DATA_LOSS", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) accept_data_loss: bool,
    /// Starts although the last commit is more than a day ahead of the clock, and continues from its time.
    #[arg(long, env = "LENTIL_ACCEPT_CLOCK_CHANGE", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) accept_clock_change: bool,
    /// The memory that the server may hold for all clients, such as 512M; by default a quarter of the available memory,
    /// and at least 256M.
    #[arg(long, env = "LENTIL_MEMORY_LIMIT", value_name = "BYTES", value_parser = memory::parse_size)]
    pub(crate) memory_limit: Option<usize>,
    /// The memory that the server may hold for one client: one HTTP connection or WebSocket.
    #[arg(long, env = "LENTIL_CLIENT_MEMORY_LIMIT", value_name = "BYTES", default_value = "128M", value_parser = memory::parse_size)]
    pub(crate) client_memory_limit: usize,
    /// Shows internals in errors, for development.
    #[arg(long, env = "LENTIL_DEV", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) dev: bool,
    /// What the log says: error, warn, info, debug, trace, or a filter such as `info,lentil_sqlite=debug`.
    #[arg(
        long,
        env = "LENTIL_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub(crate) log: String,
    /// How the log is written, on standard error.
    #[arg(long, env = "LENTIL_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Reads the command line and does what it says. Usage errors and `--help` end the process as clap does.
pub(crate) fn run(backend: Backend) -> Result<(), Box<dyn Error>> {
    let command = Cli::command()
        .name(backend.name.clone())
        .version(backend.version.clone());
    let matches = command.get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let args = match cli.command {
        Some(Command::Serve(args)) => *args,
        Some(Command::Codegen(args)) => return Ok(generate(&backend, &args)?),
        None => cli.serve,
    };
    logging::init(&args.log, args.log_format)?;
    Ok(serve::serve(backend, &args)?)
}

fn generate(backend: &Backend, args: &CodegenArgs) -> Result<(), CodegenError> {
    if args.check {
        return codegen::check(&backend.application, &backend.name, &args.out);
    }
    for path in codegen::write(&backend.application, &backend.name, &args.out)? {
        println!("wrote {}", path.display());
    }
    Ok(())
}
