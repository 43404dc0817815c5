use std::time::{Duration, Instant};

use clonk_functions::jobs::{self, GetByJobId, Upsert};
use clonk_schema::schema;
use lentil_testing::TestBackend;

use crate::report::results::{Figure, Settings};

/// Measures the number of tests of a mutation in a second on one core, each with a new backend.
pub(crate) fn tests_a_second(settings: Settings) -> Figure {
    let rates = (0..settings.rounds).map(|_| {
        let moment = Duration::from_secs_f64(settings.seconds);
        let began = Instant::now();
        let mut done = 0.0;
        while began.elapsed() < moment {
            test();
            done += 1.0;
        }
        done / began.elapsed().as_secs_f64()
    });
    Figure::new("TestBackend: mutation tests a second", "", rates.collect()).at_least(200.0)
}

/// Executes a test as `#[tokio::test]` does.
fn test() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a Tokio runtime starts");
    runtime.block_on(async {
        let t = TestBackend::new(schema()).functions(jobs::functions());
        for status in ["queued", "done"] {
            let done = t
                .mutation(async |ctx| jobs::upsert(ctx, report(status)).await)
                .await;
            done.expect("the job is reported");
        }
        let args = GetByJobId {
            job_id: "job-1".into(),
        };
        let job = t
            .query(async |ctx| jobs::get_by_job_id(ctx, args).await)
            .await
            .expect("it can be looked for");
        assert_eq!(job.expect("it is there").status, "done");
    });
}

fn report(status: &str) -> Upsert {
    Upsert {
        job_id: "job-1".into(),
        idea: Some("an app that counts the birds in my garden and draws them".into()),
        username: Some("ada".into()),
        status: status.into(),
        stage: "classifying".into(),
        result: None,
        created_at: None,
    }
}
