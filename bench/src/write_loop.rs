//! SQLite without a server: upserts one after another in one process, the limit for writes.

use std::io::{BufReader, Lines, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use crate::axum_service::{UPSERT, create};
use crate::cores::Cores;
use crate::jobs::job_id;
use crate::process::Process;

/// The loop, as the one who measures sees it.
pub(crate) struct WriteLoop {
    pub(crate) process: Process,
    input: ChildStdin,
    screen: Lines<BufReader<ChildStdout>>,
}

impl WriteLoop {
    pub(crate) fn start(command: Command, cores: Cores) -> WriteLoop {
        let (process, input, screen) = Process::start(command, cores);
        WriteLoop {
            process,
            input,
            screen,
        }
    }

    /// Has it write for a moment; returns how many upserts it made durable.
    pub(crate) fn run(&mut self, moment: Duration) -> u64 {
        writeln!(self.input, "{}", moment.as_millis()).expect("the loop listens");
        let line = self
            .screen
            .next()
            .expect("the loop answers")
            .expect("it says text");
        line.parse().expect("it says how many")
    }
}

/// The loop itself: for each number of milliseconds that it is told, it writes so long and says how many upserts that
/// were, `batch` in each transaction.
pub(crate) fn serve(folder: &Path, batch: u64) {
    let mut connection = create(folder);
    let mut done = 0;
    for line in std::io::stdin().lines() {
        let moment = line
            .ok()
            .and_then(|line| line.parse().ok())
            .map(Duration::from_millis);
        let (first, end) = (
            done,
            Instant::now() + moment.expect("it is told how many milliseconds"),
        );
        while Instant::now() < end {
            upsert(&mut connection, done..done + batch).expect("it can be written");
            done += batch;
        }
        println!("{}", done - first);
    }
}

fn upsert(connection: &mut Connection, jobs: std::ops::Range<u64>) -> rusqlite::Result<()> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    {
        let mut statement = transaction.prepare_cached(UPSERT)?;
        let idea = "an app that counts the birds in my garden and draws them";
        for job in jobs {
            let result = None::<&str>;
            statement.execute(params![
                job_id(job),
                idea,
                "ada",
                "processing",
                "stage-0",
                result,
                1_767_225_600_000.0
            ])?;
        }
    }
    transaction.commit()
}
