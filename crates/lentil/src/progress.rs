use std::io::{self, IsTerminal, Write};

use lentil_runtime::OpenProgress;
use lentil_store::IndexState;

/// Shows how the opening of a database goes: a bar on a terminal, log lines elsewhere.
pub(crate) fn show(progress: OpenProgress<'_>) {
    match progress {
        OpenProgress::Checking { table, done } => {
            line(&format!("checking table {table}: {done} documents"), None)
        }
        // An empty table's index, as at the first start, is nothing to wait for.
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

fn line(what: &str, share: Option<(u64, u64)>) {
    if !io::stderr().is_terminal() {
        let (done, total) = share.unwrap_or_default();
        tracing::info!(done, total, "{what}");
        return;
    }
    let bar = share.map_or(String::new(), |(done, total)| bar(done, total));
    let finished = share.is_none_or(|(done, total)| done >= total);
    // A terminal that cannot be written to is no reason to stop.
    let _ = write!(
        io::stderr(),
        "\r\x1b[K{what} {bar}{}",
        if finished { "\n" } else { "" }
    );
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
    fn the_bar_fills_with_what_is_done() {
        assert_eq!(bar(0, 10), format!("[{}] 0/10", " ".repeat(30)));
        assert_eq!(
            bar(5, 10),
            format!("[{}{}] 5/10", "=".repeat(15), " ".repeat(15))
        );
        assert_eq!(bar(12, 10), format!("[{}] 12/10", "=".repeat(30)));
        assert_eq!(bar(0, 0), format!("[{}] 0/0", "=".repeat(30)));
    }
}
