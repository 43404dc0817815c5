//! A large database: ten million jobs compared with ten thousand.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lentil_sqlite::{SqliteOptions, SqliteStore};
use lentil_store::{Store, StoredDocument, WriteBuffer};
use lentil_values::{DocumentId, InternalId, Object, Value};

use crate::contenders::axum_service;
use crate::contenders::cores::Cores;
use crate::contenders::running::{KNOWN, RunningContender};
use crate::contenders::server::{Server, clonk, own};
use crate::load::jobs::{Jobs, idea, job_id, mix};
use crate::report::results::{Figure, Round, Settings};
use crate::suites::cases::of_any_size;
use crate::suites::rounds::measure_once;
use crate::suites::whole::{killed, ms};

/// The number of jobs in a database of about a gigabyte.
const GIGABYTE: u64 = 2_700_000;
const MANY: u64 = 10_000_000;
/// The number of documents in a commit while filling.
const STEP: usize = 20_000;

/// A database that is filled through the store and then served.
struct Filled {
    folder: PathBuf,
    cores: Cores,
    known: u64,
}

/// Measures starts on a gigabyte, then rates and memory on ten million jobs compared with ten thousand.
pub(crate) fn big(cores: Cores, folder: &Path, settings: Settings) -> Vec<Figure> {
    let mut large = Filled {
        folder: folder.join("big"),
        cores,
        known: 0,
    };
    let small = Filled {
        folder: folder.join("small"),
        cores,
        known: 0,
    }
    .filled(KNOWN);
    large = large.filled(GIGABYTE);
    let mut figures = large.starts(settings);
    large = large.filled(MANY);
    figures.extend(compare(large.served(), small.served(), settings));
    figures.extend(measure_axum(cores, folder, settings));
    figures
}

/// Measures the axum service on as many jobs, to show the share of SQLite and of the disk in the difference.
fn measure_axum(cores: Cores, folder: &Path, settings: Settings) -> Vec<Figure> {
    let served = |name: &str, known: u64| {
        println!("filling a database of the axum service with {known} jobs …");
        let folder = folder.join(name);
        let mut job_ids: Vec<String> = (0..known).map(job_id).collect();
        job_ids.sort_unstable();
        axum_service::fill(&folder, &job_ids);
        let mut command = own("serve-axum");
        command.arg(&folder);
        RunningContender::of(Server::start(command, cores), Jobs::new(known))
    };
    let large = served("big-axum", MANY);
    let small = served("small-axum", KNOWN);
    let figures = compare(large, small, settings).into_iter();
    figures
        .map(|figure| Figure {
            name: format!("axum + rusqlite, {}", figure.name),
            wanted: None,
            ..figure
        })
        .collect()
}

impl Filled {
    /// Adds jobs up to this number.
    fn filled(self, known: u64) -> Filled {
        println!("filling a database with {known} jobs …");
        // The first start declares the tables.
        Server::start(clonk(&self.folder), self.cores)
            .process
            .stop();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a Tokio runtime starts");
        runtime.block_on(fill(&self.folder, self.known..known));
        Filled { known, ..self }
    }

    fn starts(&self, settings: Settings) -> Vec<Figure> {
        let gigabytes = size_gb(&self.folder);
        let time = |_| {
            let server = Server::start(clonk(&self.folder), self.cores);
            let time = ms(server.start_time);
            server.process.stop();
            time
        };
        let times = (0..settings.rounds).map(time).collect();
        let what = format!("{gigabytes:.1} GB");
        vec![
            Figure::new(&format!("start to first response, {what}"), " ms", times).at_most(50.0),
            killed(&what, &self.folder, self.cores, settings, |_| ()),
        ]
    }

    fn served(&self) -> RunningContender {
        RunningContender::of(
            Server::start(clonk(&self.folder), self.cores),
            Jobs::new(self.known),
        )
    }
}

fn compare(
    mut large: RunningContender,
    mut small: RunningContender,
    settings: Settings,
) -> Vec<Figure> {
    let moment = Duration::from_secs_f64(settings.seconds);
    let figures = of_any_size().into_iter().flat_map(|case| {
        let mut round = |_| {
            [
                measure_once(&case, &mut large, moment).0,
                measure_once(&case, &mut small, moment).0,
            ]
        };
        let rounds: Vec<[Round; 2]> = (0..settings.rounds).map(&mut round).collect();
        let errors: u64 = rounds.iter().flatten().map(|round| round.errors).sum();
        let void = (errors > 0).then(|| format!("{errors} errors"));
        let of = |what: &str, pick: fn(&[Round; 2]) -> f64| {
            let figure = Figure::new(
                &format!("{}: {what}", case.name),
                "",
                rounds.iter().map(pick).collect(),
            );
            Figure {
                void: void.clone(),
                ..figure
            }
        };
        let ratio = of(
            "rate with 10 million jobs / 10 thousand",
            |[large, small]| large.rate / small.rate,
        );
        [
            ratio.at_least(0.7),
            of("a second with 10 million jobs", |[large, _]| large.rate),
            of("a second with 10 thousand jobs", |[_, small]| small.rate),
        ]
    });
    let mut figures: Vec<Figure> = figures.collect();
    let (large, small) = (large.process().resident_mb(), small.process().resident_mb());
    figures.push(
        Figure::new(
            "memory with 10 million jobs − 10 thousand",
            " MB",
            vec![large - small],
        )
        .at_most(100.0),
    );
    figures
}

/// Writes jobs as the engine does, in large commits. Each commit is sorted by job id, because inserts into an index in
/// random order are slow.
async fn fill(folder: &Path, jobs: std::ops::Range<u64>) {
    let store = SqliteStore::open(folder, SqliteOptions::default()).expect("the database opens");
    let table = store.catalog().tables["jobs"].number;
    let mut numbers: Vec<(String, u64)> = jobs.map(|job| (job_id(job), job)).collect();
    numbers.sort_unstable();
    for (step, numbers) in numbers.chunks(STEP).enumerate() {
        let transaction = store.begin().await.expect("nobody else writes");
        let first_ms = transaction.timestamp().as_millis();
        let mut buffer = WriteBuffer::new(store.catalog());
        for (at, (job_id, job)) in numbers.iter().enumerate() {
            let creation_time = first_ms + (step * STEP + at) as f64 / 1e3;
            let id = DocumentId {
                table,
                internal: InternalId::at(creation_time, mix(*job)),
            };
            let document = StoredDocument {
                id,
                creation_time,
                fields: fields(job_id),
            };
            buffer.put(None, Some(Arc::new(document)));
        }
        transaction
            .commit(buffer.into_write_set())
            .await
            .expect("the disk has room");
    }
    store.close().await.expect("the database closes");
}

fn fields(job_id: &str) -> Object {
    let text = |text: &str| Value::String(text.to_owned());
    Object::from([
        ("jobId", text(job_id)),
        ("idea", text(idea(job_id))),
        ("username", text("ada")),
        ("status", text("processing")),
        ("stage", text("stage-0")),
        ("createdAt", Value::Float64(1_767_225_600_000.0)),
    ])
}

fn size_gb(folder: &Path) -> f64 {
    std::fs::metadata(folder.join("lentil.sqlite3"))
        .expect("the database is there")
        .len() as f64
        / 1e9
}
