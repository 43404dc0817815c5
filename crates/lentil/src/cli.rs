use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::backend::Backend;
use crate::codegen::{self, CodegenError};
use crate::logging;
use crate::serve;
use crate::settings::ServeArgs;

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
    /// Serves the backend. This is the default.
    Serve(Box<ServeArgs>),
    /// Writes the declarations that TypeScript clients import: api.d.ts, api.js and dataModel.d.ts.
    Codegen(CodegenArgs),
}

#[derive(Args)]
struct CodegenArgs {
    /// The folder to write them into. It is created if it does not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Writes nothing, and fails if the files are not up to date.
    #[arg(long)]
    check: bool,
}

impl Backend {
    /// Runs the command line.
    ///
    /// An error is one sentence on standard error, and exit code 1. Usage errors and `--help` end
    /// the process.
    pub fn main(self) -> ExitCode {
        let name = self.name.clone();
        match run(self) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // `eprintln` would panic if standard error is a file on a full disk, and change the
                // exit code.
                let _ = writeln!(io::stderr(), "{name}: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

fn run(backend: Backend) -> Result<(), Box<dyn Error>> {
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
    serve::serve(backend, &args)?;
    Ok(())
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
