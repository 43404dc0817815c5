use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::contenders::running::Contender;
use crate::report::results::{Disk, Figure, Results, Row, Wanted};
use crate::report::statistics::{median, spread};

/// The lines in BENCHMARKS.md between which the figures stand.
const BEGIN: &str = "<!-- figures: begin -->\n";
const END: &str = "<!-- figures: end -->\n";

/// Formats the results as Markdown.
pub(crate) fn markdown(results: &Results) -> String {
    let mut text = conditions(results);
    let (targets, others): (Vec<_>, Vec<_>) = results
        .figures
        .iter()
        .partition(|figure| figure.wanted.is_some());
    text += "\n### Targets\n\n| | wanted | median | spread | |\n|---|---|---|---|---|\n";
    for figure in targets {
        text += &target(figure);
    }
    if !results.rows.is_empty() {
        text += "\n### Rows\n\n";
        text += ROW_HEAD;
        for row in &results.rows {
            text += &line(row);
        }
    }
    if !others.is_empty() {
        text += "\n### Other figures\n\n| | median | spread |\n|---|---|---|\n";
        for figure in others {
            text += &other(figure);
        }
    }
    text
}

/// Replaces the figures in a document.
///
/// # Errors
/// If the document cannot be read or written, or has no place for the figures.
pub(crate) fn write_into(document: &Path, results: &Results) -> Result<(), String> {
    let text = fs::read_to_string(document).map_err(|error| error.to_string())?;
    let place = text
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = place.ok_or_else(|| format!("{} has no {BEGIN}", document.display()))?;
    let text = format!("{before}{BEGIN}{}{END}{after}", markdown(results));
    fs::write(document, text).map_err(|error| error.to_string())
}

fn conditions(results: &Results) -> String {
    let machine = &results.machine;
    let settings = &results.settings;
    let command = if settings.quick {
        "`just bench --quick`"
    } else {
        "`just bench`"
    };
    format!(
        "{}, commit {}, {command}: {} rounds of {} s.\n{}, {} cores, {:.0} GB, Linux {}; fdatasync takes \
         {:.3} ms.\n",
        machine.date,
        machine.commit,
        settings.rounds,
        settings.seconds,
        machine.cpu,
        machine.cores,
        machine.memory_gb,
        machine.kernel,
        machine.fdatasync_ms
    )
}

fn target(figure: &Figure) -> String {
    let wanted = match figure.wanted {
        Some(Wanted::AtLeast(least)) => format!("≥ {}", number(least)),
        Some(Wanted::AtMost(most)) => format!("≤ {}", number(most)),
        None => String::new(),
    };
    let unit = &figure.unit;
    let verdict = figure.verdict();
    let void = figure
        .void
        .as_deref()
        .map_or(String::new(), |why| format!(": {why}"));
    format!(
        "| {} | {wanted}{unit} | {} | {} | {verdict}{void} |\n",
        figure.name,
        middle(figure),
        range(figure)
    )
}

fn other(figure: &Figure) -> String {
    let void = figure
        .void
        .as_deref()
        .map_or(String::new(), |why| format!(", VOID: {why}"));
    format!(
        "| {}{void} | {} | {} |\n",
        figure.name,
        middle(figure),
        range(figure)
    )
}

fn middle(figure: &Figure) -> String {
    format!("{}{}", number(median(&figure.values)), figure.unit)
}

fn range(figure: &Figure) -> String {
    let (least, greatest) = spread(&figure.values);
    format!("{}–{}", number(least), number(greatest))
}

/// Formats a number with three significant digits.
fn number(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => grouped(number.round() as i64),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{number:.2}"),
        _ => format!("{number:.4}"),
    }
}

/// Formats a number with commas between the thousands.
fn grouped(number: i64) -> String {
    let mut text = String::new();
    for (at, digit) in number.to_string().chars().rev().enumerate() {
        if at > 0 && at % 3 == 0 && digit != '-' {
            text.push(',');
        }
        text.push(digit);
    }
    text.chars().rev().collect()
}

const ROW_HEAD: &str = "| | | a second | spread | p50 ms | p99 ms | p99.9 ms | CPU s per 1,000 | server, generator busy | \
     fsyncs per 1,000 writes |\n|---|---|---|---|---|---|---|---|---|---|\n";

/// Prints a row.
pub(crate) fn print_row(row: &Row) {
    print!("{}", line(row));
}

fn line(row: &Row) -> String {
    let disk = if row.disk == Disk::AsIs { "" } else { ", 2 ms" };
    let mut line = format!("| {}{disk} | {} ", row.case, row.contender);
    if row.errors() > 0 {
        return line + &format!("| VOID: {} errors | | | | | | | |\n", row.errors());
    }
    let (least, greatest) = row.spread(|round| round.rate);
    let rate = row.median(|round| round.rate);
    let written = write!(
        line,
        "| {} | {}–{} ",
        number(rate),
        number(least),
        number(greatest)
    );
    written.expect("a string can be written to");
    let latencies = [
        row.median(|round| round.p50_ms),
        row.median(|round| round.p99_ms),
        row.median(|round| round.p999_ms),
    ];
    // The write loops have no requests.
    let has_latency = !matches!(row.contender, Contender::Loop1 | Contender::Loop64);
    for ms in latencies {
        line += &if has_latency {
            format!("| {ms:.3} ")
        } else {
            "| ".to_owned()
        };
    }
    let busy = |pick: fn(&crate::report::results::Round) -> f64| row.median(pick) * 100.0;
    let cpu = row.median(|round| round.cpu_seconds);
    let server = busy(|round| round.server_busy);
    let generator = busy(|round| round.generator_busy);
    line + &format!(
        "| {cpu:.4} | {server:.0} %, {generator:.0} % | {} |\n",
        durability(row)
    )
}

fn durability(row: &Row) -> String {
    match row.durability {
        Some(found) if found.is_durable() => {
            format!("{} (durable)", number(found.fsyncs_per_thousand()))
        }
        Some(found) => format!("{} (NOT DURABLE)", number(found.fsyncs_per_thousand())),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits() {
        let shown = [1_234_567.0, 100.4, 99.94, 1.234, 0.0123, -1_500.0].map(number);
        assert_eq!(
            shown,
            ["1,234,567", "100", "99.9", "1.23", "0.0123", "-1,500"]
        );
    }
}
