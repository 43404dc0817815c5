use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::backend::Backend;
use crate::secrets::{FoundSecret, Source};

/// Returns the startup banner: the address, the data folder, the source of each key, and a command
/// to try.
///
/// It never contains a secret.
pub(crate) fn startup_banner(
    backend: &Backend,
    listening: SocketAddr,
    site: Option<SocketAddr>,
    data: &Path,
    secrets: &[FoundSecret],
) -> String {
    let url = format!("http://{listening}");
    let mut banner = format!(
        "{} {} is listening on {url}\n",
        backend.name, backend.version
    );
    let mut row = |name: &str, text: &str| {
        writeln!(banner, "  {name:<6}{text}").expect("writing to a string cannot fail")
    };
    if let Some(site) = site {
        row(
            "site",
            &format!("http://{site} (only the application's routes)"),
        );
    }
    row("data", &format!("{} (SQLite)", data.display()));
    for secret in secrets {
        row("key", &source(secret));
    }
    row("try", &example(&backend.example, &url, secrets));
    banner
}

fn source(secret: &FoundSecret) -> String {
    match &secret.source {
        Source::Environment => format!("{} from the environment", secret.name),
        Source::File { path, is_new: true } => {
            format!("{} in {} (created)", secret.name, path.display())
        }
        Source::File {
            path,
            is_new: false,
        } => format!("{} in {}", secret.name, path.display()),
    }
}

/// Fills in the example command. A secret is replaced by what a shell expands to it.
fn example(template: &str, url: &str, secrets: &[FoundSecret]) -> String {
    let filled = template.replace("{url}", url);
    secrets.iter().fold(filled, |command, secret| {
        let expands = match &secret.source {
            Source::Environment => format!("${}", secret.name),
            Source::File { path, .. } => format!("$(cat '{}')", path.display()),
        };
        command.replace(&format!("{{{}}}", secret.name), &expands)
    })
}
