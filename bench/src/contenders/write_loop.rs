//! SQLite without a server: upserts one after another in one process. Its rate is the limit for writes.

use std::io::{BufReader, Lines, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use crate::contenders::axum_service::{UPSERT, create};
use crate::contenders::cores::Cores;
use crate::contenders::process::Process;
use crate::load::jobs::job_id;

/// The write loop, controlled by the measuring process.
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

    /// Lets the loop write for a moment. Returns the number of durable upserts.
    pub(crate) fn run(&mut self, moment: Duration) -> u64 {
        writeln!(self.input, "{}", moment.as_millis()).expect("the loop listens");
        let line = self
            .screen
            .next()
            .expect("the loop responds")
            .expect("the output is text");
        line.parse().expect("the output is a number")
    }
}

/// Executes the loop: for each line with a number of milliseconds, it writes for that time with `batch` upserts in each
/// transaction, and prints the number of upserts.
pub(crate) fn serve(folder: &Path, batch: u64) {
    let mut connection = create(folder);
    let mut done = 0;
    for line in std::io::stdin().lines() {
        let line = line.expect("the input is text");
        let milliseconds = line.parse().expect("the line is a number of milliseconds");
        let end = Instant::now() + Duration::from_millis(milliseconds);
        let first = done;
        while Instant::now() < end {
            upsert(&mut connection, done..done + batch).expect("the disk has room");
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
