//! Web build jobs: the factory server reports the progress of each job, and reads jobs back after a
//! restart.

use std::time::Duration;

use clonk_schema::Job;
use lentil::{Args, Crons, Doc, Document, Functions, MutationCtx, QueryCtx, Result, ValueType};

use crate::walks;

/// Returns the functions of this module, with the names that clients use.
pub fn functions() -> Functions {
    Functions::in_module("jobs")
        .internal_mutation("upsert", upsert)
        .internal_query("getByJobId", get_by_job_id)
        .query("progress", progress)
        .internal_mutation("expireStale", expire_stale)
}

/// Returns the crons of this module.
pub fn crons() -> Crons {
    Crons::new().interval(
        "expire stale jobs",
        Duration::from_secs(10 * 60),
        expire_stale,
        (),
    )
}

/// The arguments of [`upsert`]: a report on a job.
#[derive(Args, Clone, Debug)]
pub struct Upsert {
    /// See [`Job::job_id`].
    pub job_id: String,
    /// See [`Job::idea`]. Only used when the job is created; "" by default.
    pub idea: Option<String>,
    /// See [`Job::username`]. Only used when the job is created; "unknown" by default.
    pub username: Option<String>,
    /// See [`Job::status`].
    pub status: String,
    /// See [`Job::stage`].
    pub stage: String,
    /// See [`Job::result`]. Without it, an earlier result stays.
    pub result: Option<String>,
    /// See [`Job::created_at`]. Only used when the job is created; the current time by default.
    pub created_at: Option<f64>,
}

/// Creates the job, or updates the status, stage and result of the job with this `jobId`.
pub async fn upsert(ctx: &mut MutationCtx, args: Upsert) -> Result<()> {
    let existing = ctx
        .db
        .query(Job::BY_JOB_ID.eq(&args.job_id))
        .unique()
        .await?;
    if let Some(job) = existing {
        let progress = Job::patch()
            .status(args.status)
            .stage(args.stage)
            .result_if_some(args.result);
        return ctx.db.patch(job.id, progress).await;
    }
    let job = Job {
        job_id: args.job_id,
        idea: args.idea.unwrap_or_default(),
        username: args.username.unwrap_or_else(|| "unknown".to_owned()),
        status: args.status,
        stage: args.stage,
        result: args.result,
        created_at: match args.created_at {
            Some(created_at) => created_at,
            None => ctx.now()?,
        },
    };
    ctx.db.insert(job).await?;
    Ok(())
}

/// The arguments of [`get_by_job_id`] and [`progress`].
#[derive(Args, Clone, Debug)]
pub struct GetByJobId {
    /// See [`Job::job_id`].
    pub job_id: String,
}

/// Returns the job with this `jobId`.
pub async fn get_by_job_id(ctx: &mut QueryCtx, args: GetByJobId) -> Result<Option<Doc<Job>>> {
    ctx.db.query(Job::BY_JOB_ID.eq(args.job_id)).unique().await
}

/// The public part of a job, for anyone who has its id.
#[derive(ValueType, Clone, Debug, PartialEq)]
pub struct Progress {
    /// See [`Job::status`].
    pub status: String,
    /// See [`Job::stage`].
    pub stage: String,
    /// See [`Job::result`].
    pub result: Option<String>,
    /// See [`Job::created_at`].
    pub created_at: f64,
}

/// Returns the progress of the job with this `jobId`, without its idea and user.
pub async fn progress(ctx: &mut QueryCtx, args: GetByJobId) -> Result<Option<Progress>> {
    let Some(job) = get_by_job_id(ctx, args).await? else {
        return Ok(None);
    };
    // The document's id is not part of the public progress.
    let job = job.fields;
    Ok(Some(Progress {
        status: job.status,
        stage: job.stage,
        result: job.result,
        created_at: job.created_at,
    }))
}

/// The age from which an unfinished job counts as failed.
const STALE_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// The number of jobs that one step checks.
const STEP_SIZE: usize = 200;

/// Marks jobs as failed that are a day old and still 'queued' or 'processing'.
///
/// It checks each job once, when the job is a day old, in the order of creation. This needs no
/// index that upserts would have to maintain.
pub async fn expire_stale(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    const TASK: &str = "jobs:expireStale";
    let position = walks::position(ctx, TASK).await?;
    let stale_before = ctx.now()? - STALE_AGE.as_secs_f64() * 1e3;
    let old = ctx
        .db
        // New documents have increasing creation times, so that `gt` skips none.
        .query(Job::BY_CREATION_TIME.gt(position).lte(stale_before))
        .take(STEP_SIZE)
        .await?;
    let Some(last) = old.last() else {
        return Ok(());
    };
    for job in &old {
        // Statuses are a convention. Any other one counts as final.
        if !matches!(job.status.as_str(), "queued" | "processing") {
            continue;
        }
        let result = format!(
            "The job failed: it was still '{}' 24 hours after its creation.",
            job.status
        );
        ctx.db
            .patch(job.id, Job::patch().status("error").result(result))
            .await?;
    }
    walks::advance(ctx, TASK, last.creation_time).await?;
    if old.len() == STEP_SIZE {
        ctx.scheduler
            .run_after(Duration::ZERO, expire_stale, ())
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clonk_schema::schema;
    use lentil::{Code, FieldName, Value, object};
    use lentil_testing::TestBackend;

    use super::*;

    fn backend() -> TestBackend {
        TestBackend::new(schema()).functions(functions())
    }

    fn report(status: &str, stage: &str) -> Upsert {
        Upsert {
            job_id: "job-1".into(),
            idea: None,
            username: None,
            status: status.into(),
            stage: stage.into(),
            result: None,
            created_at: None,
        }
    }

    async fn upserted(t: &TestBackend, reports: impl IntoIterator<Item = Upsert>) -> Doc<Job> {
        for report in reports {
            t.run_mutation(upsert, report).await.unwrap();
        }
        let mut jobs = t.documents::<Job>().await.unwrap();
        assert_eq!(jobs.len(), 1, "all reports are about one job");
        jobs.remove(0)
    }

    #[tokio::test]
    async fn the_first_report_creates_the_job() {
        let t = backend();
        let given = Upsert {
            idea: Some("a clock".into()),
            username: Some("ada".into()),
            result: Some("soon".into()),
            created_at: Some(1_234_567_890.0),
            ..report("queued", "classifying")
        };
        let job = upserted(&t, [given]).await;
        let expected = Job {
            job_id: "job-1".into(),
            idea: "a clock".into(),
            username: "ada".into(),
            status: "queued".into(),
            stage: "classifying".into(),
            result: Some("soon".into()),
            created_at: 1_234_567_890.0,
        };
        assert_eq!(job.fields, expected);
    }

    #[tokio::test]
    async fn missing_fields_of_a_new_job_have_defaults() {
        let t = backend();
        t.clock().set_ms(5_000.0);
        let job = upserted(&t, [report("queued", "classifying")]).await;
        assert_eq!(
            (&*job.idea, &*job.username, &job.result),
            ("", "unknown", &None)
        );
        assert_eq!(job.created_at, 5_000.0);
    }

    #[tokio::test]
    async fn a_later_report_changes_only_the_progress() {
        let t = backend();
        let first = Upsert {
            idea: Some("a clock".into()),
            created_at: Some(1.0),
            ..report("queued", "classifying")
        };
        let later = Upsert {
            idea: Some("another idea".into()),
            username: Some("eve".into()),
            created_at: Some(2.0),
            ..report("processing", "generating")
        };
        let job = upserted(&t, [first, later]).await;
        assert_eq!((&*job.status, &*job.stage), ("processing", "generating"));
        assert_eq!(
            (&*job.idea, &*job.username, job.created_at),
            ("a clock", "unknown", 1.0)
        );
    }

    #[tokio::test]
    async fn a_report_without_a_result_keeps_the_result() {
        let t = backend();
        let done = Upsert {
            result: Some("https://…".into()),
            ..report("done", "done")
        };
        let job = upserted(
            &t,
            [
                report("queued", "classifying"),
                done,
                report("done", "published"),
            ],
        )
        .await;
        assert_eq!(job.result.as_deref(), Some("https://…"));
        assert_eq!(job.stage, "published");
    }

    #[tokio::test]
    async fn a_job_is_found_by_its_id() {
        let t = backend();
        upserted(&t, [report("queued", "classifying")]).await;
        let find = async |job_id: &str| {
            let args = GetByJobId {
                job_id: job_id.into(),
            };
            t.run_query(get_by_job_id, args).await.unwrap()
        };
        assert_eq!(find("job-1").await.unwrap().status, "queued");
        assert!(find("job-2").await.is_none());
    }

    #[tokio::test]
    async fn progress_is_public_without_idea_and_user() {
        let t = backend();
        let done = Upsert {
            result: Some("https://…".into()),
            created_at: Some(1.0),
            ..report("done", "done")
        };
        upserted(&t, [done]).await;
        let known = t
            .call_public("jobs:progress", object! { "jobId": "job-1" })
            .await
            .unwrap();
        let expected = object! {
            "status": "done",
            "stage": "done",
            "result": "https://…",
            "createdAt": 1.0,
        };
        assert_eq!(known, Value::Object(expected));
        assert_eq!(
            t.call_public("jobs:progress", object! { "jobId": "job-2" })
                .await
                .unwrap(),
            Value::Null
        );
    }

    #[tokio::test]
    async fn two_jobs_with_one_id_are_an_error() {
        let t = backend();
        let job = upserted(&t, [report("queued", "classifying")]).await;
        t.mutation(async |ctx| ctx.db.insert(job.fields.clone()).await)
            .await
            .unwrap();
        let args = GetByJobId {
            job_id: "job-1".into(),
        };
        let error = t.run_query(get_by_job_id, args).await.unwrap_err();
        assert_eq!(error.code(), Code::NotUnique);
    }

    #[tokio::test]
    async fn an_unfinished_job_fails_after_a_day() {
        let t = backend().crons(crons());
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let report = async |job_id: &str, status: &str| {
            let report = Upsert {
                job_id: job_id.into(),
                ..report(status, "generating")
            };
            t.run_mutation(upsert, report).await.unwrap();
        };
        let statuses = async || {
            let jobs = t.documents::<Job>().await.unwrap();
            jobs.iter()
                .map(|job| (job.job_id.clone(), job.status.clone()))
                .collect::<Vec<_>>()
        };
        for (job_id, status) in [("a", "queued"), ("b", "done"), ("c", "processing")] {
            report(job_id, status).await;
        }
        t.advance(minutes(23 * 60));
        report("late", "queued").await;
        t.run_due().await.unwrap();
        assert_eq!(statuses().await[0].1, "queued", "a day has not passed");
        t.advance(minutes(61));
        t.run_due().await.unwrap();
        let expected = [
            ("a", "error"),
            ("b", "done"),
            ("c", "error"),
            ("late", "queued"),
        ];
        assert_eq!(
            statuses().await,
            expected.map(|(job_id, status)| (job_id.to_owned(), status.to_owned()))
        );
        let failed = t.documents::<Job>().await.unwrap().remove(0);
        assert!(
            failed
                .result
                .as_ref()
                .unwrap()
                .contains("still 'queued' 24 hours")
        );
        assert_eq!(failed.stage, "generating");
    }

    #[tokio::test]
    async fn many_stale_jobs_fail_in_steps() {
        let t = backend().crons(crons());
        for number in 0..STEP_SIZE + 50 {
            let report = Upsert {
                job_id: number.to_string(),
                ..report("queued", "classifying")
            };
            t.run_mutation(upsert, report).await.unwrap();
        }
        t.advance(STALE_AGE + Duration::from_secs(1));
        assert_eq!(
            t.run_due().await.unwrap(),
            2,
            "the first step schedules the second"
        );
        assert!(
            t.documents::<Job>()
                .await
                .unwrap()
                .iter()
                .all(|job| job.status == "error")
        );
    }

    #[tokio::test]
    async fn internal_functions_are_hidden_from_clients() {
        let t = backend();
        let args = || object! { "jobId": "job-1" };
        assert_eq!(
            t.call("jobs:getByJobId", args()).await.unwrap(),
            Value::Null
        );
        let hidden = t.call_public("jobs:getByJobId", args()).await.unwrap_err();
        let missing = t.call_public("jobs:nothing", args()).await.unwrap_err();
        assert_eq!(
            (hidden.code(), missing.code()),
            (Code::FunctionNotFound, Code::FunctionNotFound)
        );
        assert_eq!(
            hidden.message().replace("getByJobId", "nothing"),
            missing.message()
        );
    }

    #[tokio::test]
    async fn invalid_arguments_change_nothing() {
        let t = backend();
        let mut args = report("queued", "classifying").into_object();
        args.insert(FieldName::from_static("stage"), Value::Null);
        let refused = t.call("jobs:upsert", args).await.unwrap_err();
        assert_eq!(refused.code(), Code::ArgumentValidation);
        assert_eq!(
            refused.message(),
            "argument `stage`: expected v.string(), got null"
        );
        assert!(t.documents::<Job>().await.unwrap().is_empty());
    }
}
