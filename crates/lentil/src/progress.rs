use std::io::{self, IsTerminal, Write};

use lentil_runtime::OpenProgress;
use lentil_store::IndexState;

/// Shows the progress of opening a database: a bar on a terminal, otherwise log lines.
pub(crate) fn show(progress: OpenProgress<'_>) {
    match progress {
        OpenProgress::Checking { table, done } => {
            line(&format!("checking table {table}: {done} documents"), None)
        }
        // Indexes of empty tables, as at the first start, are ready at once.
        OpenProgress::Index(index) if index.total > 0 => {
            let doing = if index.state == IndexState::Building {
                "building"
            } else {
                "dropping"
            };
            let what = format!("{doing} index {}.{}", index.table, index.index);
            line(&what, Some((index.done, index.total)));
        }
        _ => {}
    }
}

/// Shows one line. `share` is the number of finished steps, and of all steps.
fn line(what: &str, share: Option<(u64, u64)>) {
    if !io::stderr().is_terminal() {
        let (done, total) = share.unwrap_or_default();
        tracing::info!(done, total, "{what}");
        return;
    }
    let (bar, is_finished) = match share {
        Some((done, total)) => (bar(done, total), done >= total),
        None => (String::new(), true),
    };
    let end = if is_finished { "\n" } else { "" };
    // A failed write to the terminal does not stop the server.
    let _ = write!(io::stderr(), "\r\x1b[K{what} {bar}{end}");
}

fn bar(done: u64, total: u64) -> String {
    const WIDTH: u64 = 30;
    let filled = (done * WIDTH)
        .checked_div(total)
        .unwrap_or(WIDTH)
        .min(WIDTH);
    format!(
        "[{}{}] {done}/{total}",
        "=".repeat(filled as usize),
        " ".repeat((WIDTH - filled) as usize)
    )
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn the_bar_fills_in_proportion() {
        assert_eq!(bar(0, 10), format!("[{}] 0/10", " ".repeat(30)));
        assert_eq!(
            bar(5, 10),
            format!("[{}{}] 5/10", "=".repeat(15), " ".repeat(15))
        );
        assert_eq!(bar(12, 10), format!("[{}] 12/10", "=".repeat(30)));
        assert_eq!(bar(0, 0), format!("[{}] 0/0", "=".repeat(30)));
    }
}
