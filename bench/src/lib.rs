//! The data of the micro-benchmarks and of the counted scenarios: jobs like those of the clonk backend.

use clonk_functions::jobs::Upsert;
use lentil_values::Object;

/// Returns the id of a job.
pub fn job_id(number: u64) -> String {
    format!("8c7f2d1e-0000-4000-8000-{number:012}")
}

/// Returns the request body that reports a job.
pub fn body(number: u64) -> String {
    let job_id = job_id(number);
    format!(
        r#"{{"jobId":"{job_id}","idea":"an app that counts the birds in my garden and draws them","username":"ada","status":"processing","stage":"stage-{number}","createdAt":1767225600000}}"#
    )
}

/// Returns the same report as arguments.
pub fn report(number: u64) -> Upsert {
    Upsert {
        job_id: job_id(number),
        idea: Some("an app that counts the birds in my garden and draws them".to_owned()),
        username: Some("ada".to_owned()),
        status: "processing".to_owned(),
        stage: format!("stage-{number}"),
        result: None,
        created_at: Some(1_767_225_600_000.0),
    }
}

/// Returns the same job as the fields of a document.
pub fn fields(number: u64) -> Object {
    let value =
        lentil_values::Value::parse_json(body(number).as_bytes()).expect("the body is JSON");
    value.as_object().expect("the body is an object").clone()
}
