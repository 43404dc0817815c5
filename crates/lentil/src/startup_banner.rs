use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::Backend;
use crate::secrets::{Found, Source};

/// The first screen: where it listens, where the data is, and one command to try. No secret is in it.
pub(crate) fn first_screen(
    backend: &Backend,
    listening: SocketAddr,
    site: Option<SocketAddr>,
    data: &Path,
    secrets: &[Found],
) -> String {
    let url = format!("http://{listening}");
    let mut screen = format!(
        "{} {} is listening on {url}\n",
        backend.name, backend.version
    );
    let mut row =
        |name: &str, text: &str| writeln!(screen, "  {name:<6}{text}").expect("a string takes all");
    if let Some(site) = site {
        row(
            "site",
            &format!("http://{site} (the application's routes alone)"),
        );
    }
    row("data", &format!("{} (SQLite)", data.display()));
    for secret in secrets {
        row("key", &where_from(secret));
    }
    row("try", &example(&backend.example, &url, secrets));
    screen
}

fn where_from(secret: &Found) -> String {
    match &secret.source {
        Source::Environment => format!("{} from the environment", secret.name),
        Source::File { path, is_new: true } => {
            format!("{} in {} (made now)", secret.name, path.display())
        }
        Source::File {
            path,
            is_new: false,
        } => format!("{} in {}", secret.name, path.display()),
    }
}

fn example(template: &str, url: &str, secrets: &[Found]) -> String {
    let filled = template.replace("{url}", url);
    secrets.iter().fold(filled, |command, secret| {
        let expands = match &secret.source {
            Source::Environment => format!("${}", secret.name),
            Source::File { path, .. } => format!("$(cat '{}')", path.display()),
        };
        command.replace(&format!("{{{}}}", secret.name), &expands)
    })
}
