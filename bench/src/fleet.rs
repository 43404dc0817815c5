use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cores::Cores;
use crate::drive::{Driven, Pace, Pool, Span, drive};
use crate::jobs::{Jobs, Load};
use crate::process::Process;
use crate::server::{Server, clonk, own};
use crate::slow_disk::{Fsyncs, Shim};
use crate::write_loop::WriteLoop;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Subject {
    /// Hyper that answers a constant: the limit for reads.
    Bare,
    /// The two routes by hand.
    Axum,
    Clonk,
    /// SQLite without a server, an upsert a transaction.
    Loop1,
    /// The same, 64 upserts a transaction: the limit for writes.
    Loop64,
    /// The application of the whole-system tests, for live queries.
    Testapp,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Subject::Bare => "bare hyper",
            Subject::Axum => "axum + rusqlite",
            Subject::Clonk => "clonk",
            Subject::Loop1 => "SQLite loop, 1 a transaction",
            Subject::Loop64 => "SQLite loop, 64 a transaction",
            Subject::Testapp => "testapp",
        })
    }
}

/// How many jobs every server has before it is measured.
pub(crate) const KNOWN: u64 = 10_000;

/// Programs that run side by side, each started when it is first measured, on one kind of disk.
pub(crate) struct Fleet {
    cores: Cores,
    folder: PathBuf,
    shim: Option<Shim>,
    running: BTreeMap<Subject, Member>,
}

/// A program that runs.
pub(crate) struct Member {
    program: Program,
    pub(crate) jobs: Jobs,
    fsyncs: Option<Fsyncs>,
}

enum Program {
    Server(Server),
    Loop(WriteLoop),
}

impl Fleet {
    /// A fleet with its data in this folder; with a shim, its fsyncs are counted and can be delayed.
    pub(crate) fn new(cores: Cores, folder: PathBuf, shim: Option<Shim>) -> Fleet {
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        Fleet {
            cores,
            folder,
            shim,
            running: BTreeMap::new(),
        }
    }

    /// A running program, with the jobs that it is to have.
    pub(crate) fn member(&mut self, subject: Subject) -> &mut Member {
        if !self.running.contains_key(&subject) {
            let member = self.start(subject);
            self.running.insert(subject, member);
        }
        self.running.get_mut(&subject).expect("it was just started")
    }

    /// A program that was measured already.
    pub(crate) fn running(&self, subject: Subject) -> Option<&Member> {
        self.running.get(&subject)
    }

    fn start(&self, subject: Subject) -> Member {
        let folder = self.folder.join(format!("{subject:?}"));
        let mut command = match subject {
            Subject::Bare => own("serve-bare"),
            Subject::Axum => own("serve-axum"),
            Subject::Clonk => clonk(&folder),
            Subject::Loop1 | Subject::Loop64 => own("serve-loop"),
            Subject::Testapp => crate::server::testapp(&folder),
        };
        if matches!(subject, Subject::Axum | Subject::Loop1 | Subject::Loop64) {
            command.arg(&folder);
        }
        let fsyncs = self
            .shim
            .as_ref()
            .map(|shim| shim.preload(&mut command, &folder.with_extension("fsyncs")));
        let program = match subject {
            Subject::Loop1 => Program::Loop(WriteLoop::start(with(command, "1"), self.cores)),
            Subject::Loop64 => Program::Loop(WriteLoop::start(with(command, "64"), self.cores)),
            _ => Program::Server(Server::start(command, self.cores)),
        };
        let mut member = Member {
            program,
            jobs: Jobs::new(KNOWN),
            fsyncs,
        };
        if matches!(subject, Subject::Axum | Subject::Clonk) {
            member.fill(KNOWN);
        }
        member
    }
}

fn with(mut command: std::process::Command, arg: &str) -> std::process::Command {
    command.arg(arg);
    command
}

impl Member {
    /// A server that runs already.
    pub(crate) fn of(server: Server, jobs: Jobs) -> Member {
        Member {
            program: Program::Server(server),
            jobs,
            fsyncs: None,
        }
    }

    /// Makes the jobs that are to exist.
    pub(crate) fn fill(&mut self, known: u64) {
        let pool = Pool {
            load: Load::Fill,
            connections: 64,
            pace: Pace::Closed,
        };
        let (driven, mut jobs) = (self.drive(&[pool], Span::Requests(known)), Jobs::new(known));
        assert_eq!(
            (driven[0].requests, driven[0].errors),
            (known, 0),
            "the jobs are made"
        );
        std::mem::swap(&mut self.jobs, &mut jobs);
    }

    /// Drives it; a loop drives itself.
    pub(crate) fn drive(&mut self, pools: &[Pool], span: Span) -> Vec<Driven> {
        match (&mut self.program, span) {
            (Program::Server(server), span) => drive(server.address, pools, span, &mut self.jobs)
                .expect("the server takes connections"),
            (Program::Loop(writer), Span::For(moment)) => {
                let began = std::time::Instant::now();
                let requests = writer.run(moment);
                let (seconds, latency) = (began.elapsed().as_secs_f64(), crate::drive::histogram());
                vec![Driven {
                    requests,
                    errors: 0,
                    latency,
                    seconds,
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

    /// The server, where it is one.
    pub(crate) fn server(&self) -> Option<&Server> {
        if let Program::Server(server) = &self.program {
            Some(server)
        } else {
            None
        }
    }

    /// How many fsyncs there were so far, where they are counted.
    pub(crate) fn fsyncs(&self) -> Option<u64> {
        self.fsyncs.as_ref().map(Fsyncs::count)
    }

    /// Has each fsync take this much longer from now on, where there is a shim.
    pub(crate) fn delay_fsyncs(&self, by: Duration) {
        self.fsyncs.iter().for_each(|fsyncs| fsyncs.delay(by));
    }
}
