use std::sync::Arc;
use std::time::Duration;

use lentil_store::FileError;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig};

use crate::ObjectFiles;
use crate::object::in_a_line;
use crate::s3_http::Connector;

/// How long S3 may take to show, at the start, that it is there.
const OPEN_TIME: Duration = Duration::from_secs(20);
const RETRIES: usize = 4;
/// How long after its beginning a request is still sent again.
const RETRY_TIME: Duration = Duration::from_secs(30);

/// A place on S3, or on what speaks its protocol: `s3://bucket` or `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Url {
    bucket: String,
    prefix: Path,
    text: String,
}

/// A text that names no place on S3.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no place for files; write s3://bucket/prefix")]
pub struct S3UrlError(String);

impl std::str::FromStr for S3Url {
    type Err = S3UrlError;

    fn from_str(text: &str) -> Result<S3Url, S3UrlError> {
        let invalid = || S3UrlError(text.to_owned());
        let rest = text.strip_prefix("s3://").ok_or_else(invalid)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if bucket.len() < 3 || !bucket.bytes().all(is_plain) || prefix.starts_with('/') || prefix.contains(['?', '#']) {
            return Err(invalid());
        }
        let prefix = Path::parse(prefix).map_err(|_| invalid())?;
        Ok(S3Url { bucket: bucket.to_owned(), prefix, text: text.trim_end_matches('/').to_owned() })
    }
}

impl ObjectFiles {
    /// Files on S3. Credentials, region and endpoint are those of the usual variables, `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP` and so on. Nothing is written.
    ///
    /// # Errors
    /// When S3 cannot be reached, there is no such bucket, or it may not be read; the error says what to do.
    pub async fn open_s3(url: &S3Url) -> Result<ObjectFiles, FileError> {
        let refused = |reason: String| FileError::new(format!("opening {}", url.text), reason);
        let settings = AmazonS3Builder::from_env()
            .with_bucket_name(&url.bucket)
            .with_http_connector(Connector)
            .with_retry(RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_TIME, ..RetryConfig::default() })
            // What speaks the protocol need not know how to delete many at once.
            .with_disable_bulk_delete(true);
        let s3: Arc<dyn ObjectStore> = Arc::new(
            settings.build().map_err(|error| refused(format!("{}; correct the variables AWS_…", in_a_line(&error))))?,
        );
        let files = ObjectFiles::new(s3, url.prefix.clone(), &*url.text);
        match tokio::time::timeout(OPEN_TIME, files.check()).await {
            Ok(Ok(())) => Ok(files),
            Ok(Err(error)) => Err(refused(advice(&error))),
            Err(_) => {
                let seconds = OPEN_TIME.as_secs();
                Err(refused(format!("nothing came for {seconds} s; {}", REACHABLE)))
            }
        }
    }
}

const REACHABLE: &str = "set AWS_REGION or AWS_ENDPOINT_URL to where the bucket is, and AWS_ACCESS_KEY_ID and \
                         AWS_SECRET_ACCESS_KEY unless this machine has a role";

fn advice(error: &object_store::Error) -> String {
    match error {
        object_store::Error::NotFound { .. } => {
            "there is no such bucket there; make it, or name another with --files".to_owned()
        }
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            "access is denied; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key that may list, get, put and \
             delete there"
                .to_owned()
        }
        other => format!("{}; {REACHABLE}", in_a_line(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bucket_and_perhaps_a_prefix() {
        let parsed = |text: &str| text.parse::<S3Url>().map(|url| (url.bucket, url.prefix.to_string(), url.text));
        let place = |bucket: &str, prefix: &str, text: &str| Ok((bucket.into(), prefix.into(), text.into()));
        assert_eq!(parsed("s3://bucket"), place("bucket", "", "s3://bucket"));
        assert_eq!(parsed("s3://bucket/"), place("bucket", "", "s3://bucket"));
        assert_eq!(parsed("s3://my.bucket-2/a/b c/"), place("my.bucket-2", "a/b c", "s3://my.bucket-2/a/b c"));
        for text in ["", "bucket", "s3:bucket", "s3://", "s3:///a", "s3://a b/c", "s3://bucket//a", "s3://bucket/../a"]
        {
            assert_eq!(parsed(text), Err(S3UrlError(text.to_owned())), "{text}");
        }
        assert!("s3://bucket/a?b=c".parse::<S3Url>().is_err() && "S3://bucket".parse::<S3Url>().is_err());
    }
}
