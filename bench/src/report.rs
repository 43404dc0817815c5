use crate::drive::{Cell, Driven};
use crate::servers::Server;

/// What was measured: each round of each cell on each server.
pub(crate) struct Report {
    rows: Vec<Row>,
}

struct Row {
    cell: String,
    server: &'static str,
    rate: f64,
    cpu_us: f64,
    p50_us: u64,
    p99_us: u64,
    errors: u64,
}

impl Report {
    pub(crate) fn new(servers: &[Server]) -> Report {
        for server in servers {
            let (start, idle) = (server.start_time.as_secs_f64() * 1e3, server.idle_kib as f64 / 1024.0);
            println!("{:14} start to first answer {start:6.1} ms   idle {idle:5.1} MiB", server.name);
        }
        println!();
        Report { rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, cell: &Cell, server: &Server, driven: Driven, cpu_seconds: f64) {
        self.rows.push(Row {
            cell: format!("{} @{}", cell.name, cell.connections),
            server: server.name,
            rate: driven.requests as f64 / driven.seconds,
            cpu_us: cpu_seconds * 1e6 / driven.requests as f64,
            p50_us: driven.latency.value_at_quantile(0.5),
            p99_us: driven.latency.value_at_quantile(0.99),
            errors: driven.errors,
        });
    }

    /// Prints a line a cell and server: medians over the rounds, and the ratio of rates with its spread.
    pub(crate) fn print(&self, servers: &[Server]) {
        let columns = ["cell", "server", "req/s", "p50 ms", "p99 ms", "CPU µs/req", "clonk / it", "spread"];
        println!("| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()));
        let mut cells: Vec<&str> = self.rows.iter().map(|row| row.cell.as_str()).collect();
        cells.dedup();
        for cell in cells {
            let clonk: Vec<f64> = self.of(cell, "clonk").map(|row| row.rate).collect();
            for server in servers {
                let rows: Vec<&Row> = self.of(cell, server.name).collect();
                let ratios = sorted(clonk.iter().zip(&rows).map(|(clonk, row)| clonk / row.rate));
                let errors: u64 = rows.iter().map(|row| row.errors).sum();
                let void = if errors > 0 { format!("  VOID: {errors} errors") } else { String::new() };
                println!(
                    "| {cell} | {} | {:.0} | {:.2} | {:.2} | {:.1} | {:.2} | {:.2}–{:.2}{void} |",
                    server.name,
                    median(rows.iter().map(|row| row.rate)),
                    median(rows.iter().map(|row| row.p50_us as f64)) / 1e3,
                    median(rows.iter().map(|row| row.p99_us as f64)) / 1e3,
                    median(rows.iter().map(|row| row.cpu_us)),
                    ratios[ratios.len() / 2],
                    ratios[0],
                    ratios[ratios.len() - 1],
                );
            }
        }
        println!();
        for server in servers {
            println!("{:14} most memory {:5.1} MiB", server.name, server.most_kib.get() as f64 / 1024.0);
        }
    }

    fn of<'r>(&'r self, cell: &'r str, server: &'r str) -> impl Iterator<Item = &'r Row> {
        self.rows.iter().filter(move |row| row.cell == cell && row.server == server)
    }
}

fn sorted(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let numbers = sorted(numbers);
    numbers[numbers.len() / 2]
}
