//! The two routes as a Rust developer writes them in an afternoon: one table, and one transaction for each request.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::load::jobs::KEY;
use crate::load::jobs::idea;

#[derive(Clone)]
struct Service {
    writer: Arc<Mutex<Connection>>,
    readers: Arc<Vec<Mutex<Connection>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Upsert {
    job_id: String,
    idea: Option<String>,
    username: Option<String>,
    status: String,
    stage: String,
    result: Option<String>,
    created_at: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    job_id: String,
    idea: String,
    username: String,
    status: String,
    stage: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    created_at: f64,
}

const SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, job_id TEXT NOT NULL UNIQUE, idea TEXT NOT NULL,
     username TEXT NOT NULL, status TEXT NOT NULL, stage TEXT NOT NULL, result TEXT, created_at REAL NOT NULL)";

pub(crate) const UPSERT: &str = "INSERT INTO jobs (job_id, idea, username, status, stage, result, created_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (job_id) DO UPDATE
     SET status = excluded.status, stage = excluded.stage, result = coalesce(excluded.result, result)";

/// Opens the database in this folder with durable commits.
fn open(folder: &Path) -> Connection {
    let connection = Connection::open(folder.join("jobs.sqlite3")).expect("the database opens");
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .expect("WAL");
    connection
        .pragma_update(None, "synchronous", "FULL")
        .expect("FULL");
    connection
}

/// Opens the database in this folder and creates the table of jobs if necessary.
pub(crate) fn create(folder: &Path) -> Connection {
    std::fs::create_dir_all(folder).expect("the folder can be created");
    let connection = open(folder);
    connection.execute(SCHEMA, []).expect("the table is made");
    connection
}

/// Writes jobs in large transactions.
pub(crate) fn fill(folder: &Path, job_ids: &[String]) {
    let mut writer = create(folder);
    for job_ids in job_ids.chunks(20_000) {
        let transaction = writer.transaction().expect("nobody else writes");
        let mut statement = transaction.prepare(UPSERT).expect("the statement is valid");
        for job_id in job_ids {
            let job = params![
                job_id,
                idea(job_id),
                "ada",
                "processing",
                "stage-0",
                None::<String>,
                1_767_225_600_000.0
            ];
            statement.execute(job).expect("the disk has room");
        }
        drop(statement);
        transaction.commit().expect("the disk has room");
    }
}

/// Serves jobs from a SQLite file in this folder.
pub(crate) fn serve(folder: &Path) {
    let writer = create(folder);
    let readers = (0..4).map(|_| Mutex::new(open(folder))).collect();
    let service = Service {
        writer: Arc::new(Mutex::new(writer)),
        readers: Arc::new(readers),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a Tokio runtime starts");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        println!(
            "axum on http://{}",
            listener.local_addr().expect("the socket is bound")
        );
        let routes = Router::new()
            .route("/api/job", post(post_job).get(get_job))
            .with_state(service);
        let listener =
            axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
        axum::serve(listener, routes).await.expect("it serves");
    });
}

fn is_known(headers: &HeaderMap) -> bool {
    let bearer = headers.get("authorization").map(|value| value.as_bytes());
    bearer.and_then(|bearer| bearer.strip_prefix(b"Bearer ")) == Some(KEY.as_bytes())
}

async fn post_job(
    State(service): State<Service>,
    headers: HeaderMap,
    Json(job): Json<Upsert>,
) -> Response {
    if !is_known(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let done = tokio::task::spawn_blocking(move || {
        let mut writer = service.writer.lock().expect("no writer panics");
        upsert(&mut writer, job)
    });
    match done.await {
        Ok(Ok(())) => Json(serde_json::json!({ "ok": true })).into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn upsert(writer: &mut Connection, job: Upsert) -> rusqlite::Result<()> {
    let transaction = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    {
        let idea = job.idea.unwrap_or_default();
        let username = job.username.unwrap_or_else(|| "unknown".to_owned());
        let created_at = job.created_at.unwrap_or_default();
        let mut statement = transaction.prepare_cached(UPSERT)?;
        statement.execute(params![
            job.job_id, idea, username, job.status, job.stage, job.result, created_at
        ])?;
    }
    transaction.commit()
}

#[derive(Deserialize)]
struct Wanted {
    id: String,
}

async fn get_job(
    State(service): State<Service>,
    headers: HeaderMap,
    Query(wanted): Query<Wanted>,
) -> Response {
    if !is_known(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    // A point read takes less time than a switch to another thread.
    let free = service
        .readers
        .iter()
        .find_map(|reader| reader.try_lock().ok());
    let reader = free.unwrap_or_else(|| service.readers[0].lock().expect("no reader panics"));
    let sql = "SELECT job_id, idea, username, status, stage, result, created_at FROM jobs WHERE job_id = ?1";
    let found = reader.prepare_cached(sql).and_then(|mut statement| {
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Job {
                job_id: row.get(0)?,
                idea: row.get(1)?,
                username: row.get(2)?,
                status: row.get(3)?,
                stage: row.get(4)?,
                result: row.get(5)?,
                created_at: row.get(6)?,
            })
        };
        statement.query_row([&wanted.id], read).optional()
    });
    match found {
        Ok(Some(job)) => Json(job).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
