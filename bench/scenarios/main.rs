//! Three fixed scenarios. `just bench-check` counts their instructions.
//!
//! `scenarios get`, `post` or `codec` executes one of them on one thread, with the clock and the randomness of
//! [`TestBackend`] on the store in memory. Only the work inside [`counted`] is counted, not the setup.

mod check;

use std::future::Future;
use std::process::ExitCode;

use clonk_functions::jobs::{functions, upsert};
use clonk_http::{API_KEY, router};
use clonk_schema::{Job, schema};
use http::{Method, Request, StatusCode};
use lentil::Document;
use lentil_bench::{body, job_id, report};
use lentil_testing::TestBackend;
use lentil_values::{JsonForm, KeyWriter, Value};

// The program's own allocator: the cost of a large future is another one with the system's.
#[global_allocator]
static ALLOCATOR: lentil::Allocator = lentil::Allocator;

/// The scenarios by their names.
const SCENARIOS: [(&str, fn()); 3] = [("get", get), ("post", post), ("codec", codec)];
/// The number of jobs in a scenario.
const JOBS: u64 = 2_000;
const KEY: &str = "a-key-for-the-bench";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let names = SCENARIOS.map(|(name, _)| name);
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["check"] => check::check(&names, check::Mode::Compare),
        ["check", "--record"] => check::check(&names, check::Mode::Record),
        [name] => SCENARIOS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, scenario)| scenario())
            .ok_or_else(usage),
        _ => Err(usage()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    "usage: scenarios get|post|codec|check [--record]".to_owned()
}

/// Does the work whose instructions are counted. Callgrind finds this function by its name.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
}

/// Runs `setup`, then counts `work`, on one thread.
fn run<S, F: Future<Output = ()>>(setup: impl Future<Output = S>, work: impl Fn(S) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a Tokio runtime starts");
    let mut ready = Some(runtime.block_on(setup));
    counted(&mut || runtime.block_on(work(ready.take().expect("the work is counted once"))));
}

fn backend() -> TestBackend {
    TestBackend::new(schema())
        .functions(functions())
        .http(router())
        .secret(API_KEY, KEY)
}

/// Reads each job three times: the first result is computed, the others are cached.
fn get() {
    let setup = async {
        let t = backend();
        for number in 0..JOBS {
            t.mutation(async |ctx| upsert(ctx, report(number)).await)
                .await
                .expect("the job is created");
        }
        t
    };
    run(setup, async |t| {
        for number in 0..JOBS {
            let url = format!("/api/job?id={}", job_id(number));
            for _ in 0..3 {
                fetch(&t, Method::GET, &url, String::new()).await;
            }
        }
    });
}

/// Creates each job, then updates it.
fn post() {
    run(async { backend() }, async |t| {
        for number in 0..2 * JOBS {
            fetch(&t, Method::POST, "/api/job", body(number % JOBS)).await;
        }
    });
}

async fn fetch(t: &TestBackend, method: Method, url: &str, body: String) {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", format!("Bearer {KEY}"));
    let response = t
        .fetch(request.body(body).expect("the request is valid"))
        .await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text());
}

/// Parses, validates, decodes, encodes and prints each job, and makes its index key.
fn codec() {
    let bodies: Vec<String> = (0..JOBS).map(body).collect();
    let table = Job::table();
    counted(&mut || {
        for body in &bodies {
            let value = Value::parse_json(body.as_bytes()).expect("the body is JSON");
            let fields = value.as_object().expect("the body is an object").clone();
            table.validate(&fields, &()).expect("the fields are a job");
            let fields = Job::from_fields(fields)
                .expect("the fields are a job")
                .into_fields();
            let mut key = KeyWriter::new();
            key.push(fields.get("jobId"));
            let printed = Value::Object(fields).to_json(JsonForm::Encoded);
            assert!(
                printed.len() + 2 > body.len() && key.as_bytes().len() > 36,
                "{printed}"
            );
        }
    });
}
