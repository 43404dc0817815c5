//! Three fixed pieces of work, whose instructions `just bench-check` counts.
//!
//! `scenarios get`, `post` or `codec` does one of them: on one thread, with the clock and the randomness of
//! [`TestBackend`] on the store in memory. Only what goes on in [`counted`] is counted, and what sets up is not.

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

/// What is counted, by name.
const SCENARIOS: [(&str, fn()); 3] = [("get", get), ("post", post), ("codec", codec)];
const TIMES: u64 = 2_000;
const KEY: &str = "a-key-for-the-bench";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["check"] => check::check(false),
        ["check", "--record"] => check::check(true),
        [name] => SCENARIOS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, scenario)| scenario())
            .ok_or_else(usage),
        _ => Err(usage()),
    };
    done.map_or_else(
        |sentence| {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn usage() -> String {
    "scenarios get|post|codec|check [--record]".to_owned()
}

/// What is counted; callgrind knows it by its name.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
}

/// Runs `setup`, and then `work` counted, on one thread.
fn run<S, F: Future<Output = ()>>(setup: impl Future<Output = S>, work: impl Fn(S) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut ready = Some(runtime.block_on(setup));
    counted(&mut || runtime.block_on(work(ready.take().expect("it is counted once"))));
}

fn backend() -> TestBackend {
    TestBackend::new(schema())
        .functions(functions())
        .http(router())
        .secret(API_KEY, KEY)
}

/// Each job is asked for three times: the first is computed, the others are cached.
fn get() {
    let setup = async {
        let t = backend();
        for number in 0..TIMES {
            t.mutation(async |ctx| upsert(ctx, report(number)).await)
                .await
                .expect("the job is made");
        }
        t
    };
    run(setup, async |t| {
        for number in 0..TIMES {
            let url = format!("/api/job?id={}", job_id(number));
            for _ in 0..3 {
                fetch(&t, Method::GET, &url, String::new()).await;
            }
        }
    });
}

/// Each job is made and then moved on.
fn post() {
    run(async { backend() }, async |t| {
        for number in 0..2 * TIMES {
            fetch(&t, Method::POST, "/api/job", body(number % TIMES)).await;
        }
    });
}

async fn fetch(t: &TestBackend, method: Method, url: &str, body: String) {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", format!("Bearer {KEY}"));
    let answer = t
        .fetch(request.body(body).expect("the request is one"))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

/// Each job is read, validated, decoded, encoded, printed, and made an index key of.
fn codec() {
    let bodies: Vec<String> = (0..TIMES).map(body).collect();
    let table = Job::table();
    counted(&mut || {
        for body in &bodies {
            let value = Value::parse_json(body.as_bytes()).expect("the body is JSON");
            let fields = value.as_object().expect("the body is an object").clone();
            table.validate(&fields, &()).expect("it is a job");
            let fields = Job::from_fields(fields).expect("it is a job").into_fields();
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
