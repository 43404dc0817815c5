// [table]
use lentil::Document;

/// A comment on a build job.
#[derive(Document, Clone, Debug)]
#[table("comments")]
#[index(by_job_id(job_id))]
pub struct Comment {
    /// The job's UUID.
    pub job_id: String,
    /// The text of the comment.
    pub text: String,
    /// Unix timestamp in milliseconds.
    pub created_at: f64,
}
// [end]
