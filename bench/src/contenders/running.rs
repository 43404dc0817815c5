use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::contenders::cores::Cores;
use crate::contenders::process::Process;
use crate::contenders::server::{Server, clonk, own};
use crate::contenders::slow_disk::{Fsyncs, Shim};
use crate::contenders::write_loop::WriteLoop;
use crate::load::drive::{Pace, Pool, PoolResult, Span, drive};
use crate::load::jobs::{Jobs, Load};

/// A program that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Contender {
    /// Hyper that returns a constant: the limit for reads.
    Bare,
    /// The two routes, written by hand over axum and rusqlite.
    Axum,
    Clonk,
    /// SQLite without a server, one upsert in a transaction.
    Loop1,
    /// The same with 64 upserts in a transaction: the limit for writes.
    Loop64,
    /// The application of the whole-system tests, for live queries.
    Testapp,
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Contender::Bare => "bare hyper",
            Contender::Axum => "axum + rusqlite",
            Contender::Clonk => "clonk",
            Contender::Loop1 => "SQLite loop, 1 a transaction",
            Contender::Loop64 => "SQLite loop, 64 a transaction",
            Contender::Testapp => "testapp",
        })
    }
}

/// The number of jobs that each server has before it is measured.
pub(crate) const KNOWN: u64 = 10_000;

/// The running contenders on one kind of disk. Each is started when it is first measured.
pub(crate) struct Contenders {
    cores: Cores,
    folder: PathBuf,
    shim: Option<Shim>,
    running: BTreeMap<Contender, RunningContender>,
}

/// A contender that runs.
pub(crate) struct RunningContender {
    program: Program,
    pub(crate) jobs: Jobs,
    fsyncs: Option<Fsyncs>,
}

enum Program {
    Server(Server),
    Loop(WriteLoop),
}

impl Contenders {
    /// Makes an empty set with its data in this folder. A shim counts the fsyncs and can delay them.
    pub(crate) fn new(cores: Cores, folder: PathBuf, shim: Option<Shim>) -> Contenders {
        std::fs::create_dir_all(&folder).expect("the folder can be created");
        Contenders {
            cores,
            folder,
            shim,
            running: BTreeMap::new(),
        }
    }

    /// Returns a running contender with its jobs, and starts it if necessary.
    pub(crate) fn started(&mut self, contender: Contender) -> &mut RunningContender {
        if !self.running.contains_key(&contender) {
            let running = self.start(contender);
            self.running.insert(contender, running);
        }
        self.running
            .get_mut(&contender)
            .expect("the contender is started")
    }

    /// Returns a contender if it has been started.
    pub(crate) fn running(&self, contender: Contender) -> Option<&RunningContender> {
        self.running.get(&contender)
    }

    fn start(&self, contender: Contender) -> RunningContender {
        let folder = self.folder.join(format!("{contender:?}"));
        let mut command = match contender {
            Contender::Bare => own("serve-bare"),
            Contender::Axum => own("serve-axum"),
            Contender::Clonk => clonk(&folder),
            Contender::Loop1 | Contender::Loop64 => own("serve-loop"),
            Contender::Testapp => crate::contenders::server::testapp(&folder),
        };
        if matches!(
            contender,
            Contender::Axum | Contender::Loop1 | Contender::Loop64
        ) {
            command.arg(&folder);
        }
        let fsyncs = self
            .shim
            .as_ref()
            .map(|shim| shim.preload(&mut command, &folder.with_extension("fsyncs")));
        let program = match contender {
            Contender::Loop1 => Program::Loop(WriteLoop::start(with(command, "1"), self.cores)),
            Contender::Loop64 => Program::Loop(WriteLoop::start(with(command, "64"), self.cores)),
            _ => Program::Server(Server::start(command, self.cores)),
        };
        let mut running = RunningContender {
            program,
            jobs: Jobs::new(KNOWN),
            fsyncs,
        };
        if matches!(contender, Contender::Axum | Contender::Clonk) {
            running.fill(KNOWN);
        }
        running
    }
}

fn with(mut command: std::process::Command, arg: &str) -> std::process::Command {
    command.arg(arg);
    command
}

impl RunningContender {
    /// Makes a contender of a running server.
    pub(crate) fn of(server: Server, jobs: Jobs) -> RunningContender {
        RunningContender {
            program: Program::Server(server),
            jobs,
            fsyncs: None,
        }
    }

    /// Creates the jobs.
    pub(crate) fn fill(&mut self, known: u64) {
        let pool = Pool {
            load: Load::Fill,
            connections: 64,
            pace: Pace::Closed,
        };
        let result = &self.drive(&[pool], Span::Requests(known))[0];
        assert_eq!(result.requests, known, "the jobs are created");
        assert_eq!(result.errors, 0, "the jobs are created");
        self.jobs = Jobs::new(known);
    }

    /// Sends it requests. A write loop needs none.
    pub(crate) fn drive(&mut self, pools: &[Pool], span: Span) -> Vec<PoolResult> {
        match (&mut self.program, span) {
            (Program::Server(server), span) => drive(server.address, pools, span, &mut self.jobs)
                .expect("the server accepts connections"),
            (Program::Loop(writer), Span::For(moment)) => {
                let began = std::time::Instant::now();
                let requests = writer.run(moment);
                vec![PoolResult {
                    requests,
                    errors: 0,
                    latency: crate::load::drive::histogram(),
                    seconds: began.elapsed().as_secs_f64(),
                }]
            }
            (Program::Loop(_), Span::Requests(_)) => Vec::new(),
        }
    }

    pub(crate) fn process(&self) -> &Process {
        match &self.program {
            Program::Server(server) => &server.process,
            Program::Loop(writer) => &writer.process,
        }
    }

    /// Returns the server, unless it is a write loop.
    pub(crate) fn server(&self) -> Option<&Server> {
        if let Program::Server(server) = &self.program {
            Some(server)
        } else {
            None
        }
    }

    /// Returns the number of fsyncs so far, if they are counted.
    pub(crate) fn fsyncs(&self) -> Option<u64> {
        self.fsyncs.as_ref().map(Fsyncs::count)
    }

    /// Adds this delay to each later fsync, if there is a shim.
    pub(crate) fn delay_fsyncs(&self, by: Duration) {
        if let Some(fsyncs) = &self.fsyncs {
            fsyncs.delay(by);
        }
    }
}
