use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lentil_store::FileError;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::ClientConfigKey;
use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig};

use crate::bucket::one_line;
use crate::object::ObjectFiles;
use crate::s3_http::Connector;

/// The timeout of the check at startup.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);
const MAX_RETRIES: usize = 4;
/// The time after its first attempt within which a request is retried.
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);

/// A bucket and prefix on S3, or on a service with the same protocol: `s3://bucket` or
/// `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Url {
    bucket: String,
    prefix: Path,
    text: String,
}

impl fmt::Display for S3Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text that is not an S3 URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an S3 URL; write s3://bucket/prefix")]
pub struct S3UrlError(String);

impl std::str::FromStr for S3Url {
    type Err = S3UrlError;

    fn from_str(text: &str) -> Result<S3Url, S3UrlError> {
        let invalid = || S3UrlError(text.to_owned());
        let rest = text.strip_prefix("s3://").ok_or_else(invalid)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        // The names of S3's buckets have at least three characters.
        if bucket.len() < 3
            || !bucket.bytes().all(is_plain)
            || prefix.starts_with('/')
            || prefix.contains(['?', '#'])
        {
            return Err(invalid());
        }
        let prefix = Path::parse(prefix).map_err(|_| invalid())?;
        Ok(S3Url {
            bucket: bucket.to_owned(),
            prefix,
            text: text.trim_end_matches('/').to_owned(),
        })
    }
}

impl ObjectFiles {
    /// Opens files on S3. Reads credentials, region and endpoint from the usual variables:
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`,
    /// `AWS_ALLOW_HTTP` and so on. Writes nothing.
    ///
    /// # Errors
    /// When S3 cannot be reached, the bucket does not exist, or access is denied. The error says
    /// what to do.
    pub async fn open_s3(url: &S3Url) -> Result<ObjectFiles, FileError> {
        let refused = |reason: String| FileError::new(format!("opening {}", url.text), reason);
        let settings = AmazonS3Builder::from_env()
            .with_bucket_name(&url.bucket)
            .with_http_connector(Connector)
            .with_retry(RetryConfig {
                max_retries: MAX_RETRIES,
                retry_timeout: RETRY_TIMEOUT,
                ..RetryConfig::default()
            })
            // Not every service with S3's protocol supports bulk deletion.
            .with_disable_bulk_delete(true);
        if is_unencrypted_by_mistake(&settings) {
            let reason =
                "AWS_ENDPOINT_URL is not encrypted; use https://, or set AWS_ALLOW_HTTP=true";
            return Err(refused(reason.to_owned()));
        }
        let s3: Arc<dyn ObjectStore> = Arc::new(settings.build().map_err(|error| {
            refused(format!("{}; correct the AWS_… variables", one_line(&error)))
        })?);
        let files = ObjectFiles::new(s3, url.prefix.clone(), &*url.text);
        match tokio::time::timeout(OPEN_TIMEOUT, files.check()).await {
            Ok(Ok(())) => Ok(files),
            Ok(Err(error)) => Err(refused(advice(&error))),
            Err(_) => {
                let seconds = OPEN_TIMEOUT.as_secs();
                Err(refused(format!(
                    "no response within {seconds} s; {REACHABLE}"
                )))
            }
        }
    }
}

fn is_unencrypted_by_mistake(settings: &AmazonS3Builder) -> bool {
    let setting = |key| settings.get_config_value(&key);
    let endpoint =
        setting(AmazonS3ConfigKey::S3Endpoint).or_else(|| setting(AmazonS3ConfigKey::Endpoint));
    let allows_http = setting(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
    endpoint.is_some_and(|url| url.starts_with("http://")) && allows_http.as_deref() != Some("true")
}

const REACHABLE: &str = "set AWS_REGION or AWS_ENDPOINT_URL to the bucket's, and AWS_ACCESS_KEY_ID and \
                         AWS_SECRET_ACCESS_KEY unless this machine has a role";

/// Explains an error of S3 with what the operator can do about it.
fn advice(error: &object_store::Error) -> String {
    let said = one_line(error);
    let code = said
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map(|(code, _)| code);
    match code {
        Some("NoSuchBucket") => {
            "the bucket does not exist; create it, or name another with --files".to_owned()
        }
        Some(code @ ("PermanentRedirect" | "AuthorizationHeaderMalformed")) => {
            format!("the bucket is in another region ({code}); set AWS_REGION to it")
        }
        Some(code) => format!(
            "access is denied ({code}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key that may list \
             the bucket, and get, put and delete objects in it"
        ),
        None => format!("{}; {REACHABLE}", one_line(root(error))),
    }
}

/// Returns the innermost cause of an error.
fn root(error: &dyn Error) -> &dyn Error {
    match error.source() {
        Some(source) => root(source),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_s3_url_is_a_bucket_and_an_optional_prefix() {
        let parsed = |text: &str| {
            text.parse::<S3Url>()
                .map(|url| (url.bucket, url.prefix.to_string(), url.text))
        };
        let expected = |bucket: &str, prefix: &str, text: &str| {
            Ok((bucket.into(), prefix.into(), text.into()))
        };
        assert_eq!(parsed("s3://bucket"), expected("bucket", "", "s3://bucket"));
        assert_eq!(
            parsed("s3://bucket/"),
            expected("bucket", "", "s3://bucket")
        );
        assert_eq!(
            parsed("s3://my.bucket-2/a/b c/"),
            expected("my.bucket-2", "a/b c", "s3://my.bucket-2/a/b c")
        );
        for text in [
            "",
            "bucket",
            "s3:bucket",
            "s3://",
            "s3:///a",
            "s3://a b/c",
            "s3://bucket//a",
            "s3://bucket/../a",
        ] {
            assert_eq!(parsed(text), Err(S3UrlError(text.to_owned())), "{text}");
        }
        assert!(
            "s3://bucket/a?b=c".parse::<S3Url>().is_err()
                && "S3://bucket".parse::<S3Url>().is_err()
        );
    }

    #[test]
    fn an_s3_error_says_what_to_do() {
        let advice = |source: &str| {
            advice(&object_store::Error::Generic {
                store: "S3",
                source: source.into(),
            })
        };
        let coded = |code: &str| advice(&format!("404: <Error>\n<Code>{code}</Code></Error>"));
        assert!(coded("NoSuchBucket").starts_with("the bucket does not exist;"));
        assert!(coded("PermanentRedirect").ends_with("set AWS_REGION to it"));
        assert!(
            coded("SignatureDoesNotMatch").starts_with("access is denied (SignatureDoesNotMatch);")
        );
        assert!(advice("connection refused").starts_with("connection refused; set AWS_REGION"));
    }
}
