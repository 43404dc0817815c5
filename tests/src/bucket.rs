use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// The bucket's name.
const NAME: &str = "bucket";
/// The number of objects of a page of a list. It is small, so that every list has several pages.
const PAGE: usize = 3;
/// The least size that S3 accepts for every part but the last.
const MIN_PART: usize = 5 << 20;

/// A bucket in memory with the part of S3's protocol that files need. It accepts the keys of [`Bucket::variables`]. It
/// does not verify signatures, only that a request has one.
pub struct Bucket {
    /// `host:port`
    pub address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Arc<Vec<u8>>>,
    uploads: BTreeMap<String, Upload>,
    begun: usize,
    /// Requests with this in their first line fail with 503.
    failing: Option<String>,
}

struct Upload {
    key: String,
    parts: BTreeMap<usize, Vec<u8>>,
}

struct Request {
    method: String,
    /// The key of the object; empty for the bucket itself.
    key: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct S3Response {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Bucket {
    /// Serves an empty bucket until the process ends.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn start() -> Bucket {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it listens").to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // The thread ends with its client's connection.
                thread::spawn(move || drop(serve(&stream, &state)));
            }
        });
        Bucket { address, state }
    }

    /// Returns the environment variables with which a server uses it.
    pub fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", "id".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", "nowhere-1".to_owned()),
        ]
    }

    /// Returns the keys of its objects.
    pub fn keys(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    /// Returns the uploads that were neither completed nor aborted.
    pub fn unfinished(&self) -> usize {
        self.state().uploads.len()
    }

    /// Adds an object.
    pub fn put(&self, key: &str, content: &[u8]) {
        self.state()
            .objects
            .insert(key.to_owned(), Arc::new(content.to_vec()));
    }

    /// Makes later requests with this in their first line fail; none if it is `None`.
    pub fn fail(&self, part: Option<&str>) {
        self.state().failing = part.map(str::to_owned);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no request panics")
    }
}

/// Serves the requests of one connection.
fn serve(stream: &TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let request = Request::read(&first, &mut reader)?;
        let response = {
            let mut state = state.lock().expect("no request panics");
            let fails = state
                .failing
                .as_ref()
                .is_some_and(|part| first.contains(part));
            if fails {
                error(503, "SlowDown")
            } else {
                state.serve(&first, request)
            }
        };
        response.write(stream, first.starts_with("HEAD"))?;
    }
}

impl Request {
    fn read(first: &str, reader: &mut impl BufRead) -> io::Result<Request> {
        let mut words = first.split(' ');
        let method = words.next().unwrap_or_default();
        let target = words.next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), decode(value))
        };
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let length = headers
            .get("content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Request {
            method: method.to_owned(),
            key: decode(path).trim_start_matches('/').to_owned(),
            query: query
                .split('&')
                .filter(|text| !text.is_empty())
                .map(pair)
                .collect(),
            headers,
            body,
        })
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }
}

/// Decodes percent-encoding.
fn decode(text: &str) -> String {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        decoded.push(u8::from_str_radix(code, 16).unwrap_or(b'?'));
        decoded.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

impl S3Response {
    fn write(self, mut stream: &TcpStream, is_head: bool) -> io::Result<()> {
        let S3Response {
            status,
            headers,
            body,
        } = self;
        stream.write_all(
            format!(
                "HTTP/1.1 {status} -\r\ncontent-length: {}\r\n{headers}\r\n",
                body.len()
            )
            .as_bytes(),
        )?;
        if is_head {
            Ok(())
        } else {
            stream.write_all(&body)
        }
    }
}

fn ok(body: impl Into<Vec<u8>>) -> S3Response {
    S3Response {
        status: 200,
        headers: "etag: \"tag\"\r\n".to_owned(),
        body: body.into(),
    }
}

fn error(status: u16, code: &str) -> S3Response {
    let body =
        format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>-</Message></Error>");
    S3Response {
        status,
        headers: String::new(),
        body: body.into_bytes(),
    }
}

impl State {
    fn serve(&mut self, first: &str, mut request: Request) -> S3Response {
        let authorization = request
            .headers
            .get("authorization")
            .map(String::as_str)
            .unwrap_or_default();
        if !authorization.starts_with("AWS4-HMAC-SHA256 Credential=id/") {
            return error(403, "AccessDenied");
        }
        let (bucket, key) = request.key.split_once('/').unwrap_or((&request.key, ""));
        if bucket != NAME {
            return error(404, "NoSuchBucket");
        }
        request.key = key.to_owned();
        let part = request
            .query("partNumber")
            .and_then(|number| number.parse().ok());
        let upload = request.query("uploadId").map(str::to_owned);
        match (request.method.as_str(), upload.as_deref(), part) {
            ("GET", ..) if request.key.is_empty() => self.list(&request),
            ("GET" | "HEAD", ..) => self.get(&request),
            ("POST", None, _) if request.query.contains_key("uploads") => self.begin(request.key),
            ("POST", Some(id), _) => self.complete(id),
            ("PUT", Some(id), Some(part)) => self.put_part(id, part, request.body),
            ("PUT", ..) => self.put(request),
            ("DELETE", Some(id), _) => {
                self.uploads.remove(id);
                S3Response {
                    status: 204,
                    ..ok("")
                }
            }
            ("DELETE", ..) => {
                self.objects.remove(&request.key);
                S3Response {
                    status: 204,
                    ..ok("")
                }
            }
            _ => panic!("no such request: {first}"),
        }
    }

    fn list(&self, request: &Request) -> S3Response {
        let prefix = request.query("prefix").unwrap_or_default();
        let after = request.query("continuation-token").unwrap_or_default();
        let mut found = self
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
        let page: Vec<_> = found.by_ref().take(PAGE).collect();
        let mut list = format!(
            "<ListBucketResult><Name>{NAME}</Name><IsTruncated>{}</IsTruncated>",
            found.count() > 0
        );
        for (key, content) in &page {
            let size = content.len();
            list.push_str(&format!(
                "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>\"tag\"</ETag>"
            ));
            list.push_str("<LastModified>2020-01-01T00:00:00.000Z</LastModified></Contents>");
        }
        if let Some((last, _)) = page.last().filter(|_| list.contains("<IsTruncated>true")) {
            list.push_str(&format!(
                "<NextContinuationToken>{last}</NextContinuationToken>"
            ));
        }
        ok(list + "</ListBucketResult>")
    }

    fn get(&self, request: &Request) -> S3Response {
        let Some(content) = self.objects.get(&request.key) else {
            return error(404, "NoSuchKey");
        };
        let date = "last-modified: Wed, 01 Jan 2020 00:00:00 GMT\r\netag: \"tag\"\r\n";
        let range = request
            .headers
            .get("range")
            .and_then(|range| range.strip_prefix("bytes="));
        let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
            return S3Response {
                headers: date.to_owned(),
                ..ok(content.to_vec())
            };
        };
        let first: usize = first.parse().expect("a range has a start");
        let end = last
            .parse()
            .map_or(content.len(), |last: usize| content.len().min(last + 1));
        if first >= end {
            return error(416, "InvalidRange");
        }
        let headers = format!(
            "{date}content-range: bytes {first}-{}/{}\r\n",
            end - 1,
            content.len()
        );
        S3Response {
            status: 206,
            headers,
            body: content[first..end].to_vec(),
        }
    }

    fn put(&mut self, request: Request) -> S3Response {
        let Some(source) = request.headers.get("x-amz-copy-source") else {
            self.objects.insert(request.key, Arc::new(request.body));
            return ok("");
        };
        let source = decode(source.trim_start_matches('/'));
        let source = source
            .strip_prefix(NAME)
            .and_then(|source| source.strip_prefix('/'));
        let Some(content) = source.and_then(|source| self.objects.get(source)).cloned() else {
            return error(404, "NoSuchKey");
        };
        self.objects.insert(request.key, content);
        ok("<CopyObjectResult><ETag>\"tag\"</ETag></CopyObjectResult>")
    }

    fn begin(&mut self, key: String) -> S3Response {
        self.begun += 1;
        let id = format!("upload-{}", self.begun);
        let response = format!(
            "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
        );
        self.uploads.insert(
            id,
            Upload {
                key,
                parts: BTreeMap::new(),
            },
        );
        ok(response)
    }

    fn put_part(&mut self, id: &str, part: usize, body: Vec<u8>) -> S3Response {
        let Some(upload) = self.uploads.get_mut(id) else {
            return error(404, "NoSuchUpload");
        };
        upload.parts.insert(part, body);
        ok("")
    }

    fn complete(&mut self, id: &str) -> S3Response {
        let Some(upload) = self.uploads.get(id) else {
            return error(404, "NoSuchUpload");
        };
        let sizes: Vec<_> = upload.parts.values().map(Vec::len).collect();
        if sizes.iter().rev().skip(1).any(|size| *size < MIN_PART) {
            return error(400, "EntityTooSmall");
        }
        let Upload { key, parts } = self.uploads.remove(id).expect("the upload exists");
        self.objects
            .insert(key, Arc::new(parts.into_values().flatten().collect()));
        ok("<CompleteMultipartUploadResult><ETag>\"tag\"</ETag></CompleteMultipartUploadResult>")
    }
}
