//! Random uploads: the server does not fail, an acknowledged upload is read back unchanged, and
//! nothing remains of a refused one.

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::digest;
use data_encoding::BASE64;
use lentil::{Document, Id, StoredFile};
use lentil_server::ServerOptions;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokio::runtime::Runtime;

use crate::Running;

pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Starts the server of a test. Each case leaves it empty.
pub(crate) fn start() -> Running {
    // An incomplete upload should time out soon.
    let options = ServerOptions {
        progress_timeout: Duration::from_millis(150),
        ..ServerOptions::default()
    };
    RUNTIME.block_on(Running::start(options))
}

#[derive(Clone, Debug)]
enum Token {
    Good,
    Changed(Index, u8),
    Other(String),
}

#[derive(Clone, Debug)]
enum Digest {
    Right,
    Wrong,
    Other(Vec<u8>),
}

/// The way in which a request states the length of its body.
#[derive(Clone, Debug)]
enum Framing {
    Length,
    /// The stated length exceeds the body by this number of bytes.
    TooLong(usize),
    Chunked(Vec<usize>),
    /// A chunked body with an invalid end.
    Broken(Vec<u8>),
    /// A length and chunks.
    Contradiction,
}

#[derive(Clone, Debug)]
struct Upload {
    token: Token,
    digest: Option<Digest>,
    content_type: Option<Vec<u8>>,
    framing: Framing,
    /// Headers that do not affect how the body is read.
    others: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
}

/// Bytes that do not end a header, often with a meaning in some header.
pub(crate) fn header_value() -> impl Strategy<Value = Vec<u8>> {
    let any = vec(prop_oneof![32_u8..127, 128_u8..=255, Just(b'\t')], 0..30);
    let meaningful = select(vec![
        "*",
        "\"a\"",
        "W/\"a\"",
        "bytes=0-",
        "bytes=0-0",
        "bytes=-1",
        "bytes=9-1",
        "bytes=1-2,3-4",
        "sha-256=",
        "text/html; charset=utf-8",
        "image/svg+xml",
        "null",
        "0",
        "-1",
        "99999999999999999999",
        "=",
        ",",
        "",
    ]);
    prop_oneof![any, meaningful.prop_map(|text| text.as_bytes().to_vec())]
}

pub(crate) fn other_headers() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    let names = vec![
        "range",
        "if-match",
        "if-none-match",
        "if-range",
        "if-modified-since",
        "if-unmodified-since",
        "origin",
        "accept",
        "accept-encoding",
        "content-encoding",
        "content-range",
        "content-md5",
        "authorization",
        "cookie",
        "x-forwarded-for",
        "access-control-request-headers",
    ];
    vec((select(names), header_value()), 0..4)
}

fn upload() -> impl Strategy<Value = Upload> {
    let token = prop_oneof![
        6 => Just(Token::Good),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, by)| Token::Changed(at, by)),
        1 => "[!-\"$-~]{0,80}".prop_map(Token::Other),
    ];
    let digest = prop_oneof![
        Just(Digest::Right),
        Just(Digest::Wrong),
        header_value().prop_map(Digest::Other)
    ];
    let framing = prop_oneof![
        10 => Just(Framing::Length),
        1 => (1_usize..1_000).prop_map(Framing::TooLong),
        8 => vec(1_usize..3_000, 1..6).prop_map(Framing::Chunked),
        1 => vec(any::<u8>(), 0..40).prop_map(Framing::Broken),
        1 => Just(Framing::Contradiction),
    ];
    let body = prop_oneof![
        vec(any::<u8>(), 0..40),
        (any::<u8>(), 0_usize..20_000)
            .prop_map(|(byte, length)| { (0..length).map(|at| (at / 7) as u8 ^ byte).collect() })
    ];
    let parts = (
        token,
        prop::option::of(digest),
        prop::option::of(header_value()),
        framing,
        other_headers(),
        body,
    );
    parts.prop_map(
        |(token, digest, content_type, framing, others, body)| Upload {
            token,
            digest,
            content_type,
            framing,
            others,
            body,
        },
    )
}

impl Upload {
    /// Returns the request to a path with a valid token.
    fn request(&self, path: &str) -> Vec<u8> {
        let (upload, token) = path.split_once("token=").unwrap();
        let mut token = token.as_bytes().to_vec();
        match &self.token {
            Token::Good => {}
            Token::Changed(at, by) => {
                let at = at.index(token.len());
                token[at] = b'!' + (token[at] - b'!' + 1 + by % 93) % 94;
            }
            Token::Other(text) => token = text.clone().into_bytes(),
        }
        let mut request = format!("POST {upload}token=").into_bytes();
        request.extend(token);
        request.extend(b" HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
        for (name, value) in self.headers() {
            request.extend([name.as_bytes(), b": ", &value, b"\r\n"].concat());
        }
        request.extend(self.framed());
        request
    }

    fn headers(&self) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
        let announced = |body: &[u8]| {
            let hash = digest::digest(&digest::SHA256, body);
            format!("sha-256={}", BASE64.encode(hash.as_ref())).into_bytes()
        };
        let digest = self.digest.iter().map(move |digest| match digest {
            Digest::Right => ("digest", announced(&self.body)),
            Digest::Wrong => ("digest", announced(b"something else")),
            Digest::Other(value) => ("digest", value.clone()),
        });
        let content_type = self
            .content_type
            .iter()
            .map(|value| ("content-type", value.clone()));
        digest
            .chain(content_type)
            .chain(self.others.iter().cloned())
    }

    /// Returns the end of the head, and the body.
    fn framed(&self) -> Vec<u8> {
        let sized = |length: usize| {
            [
                format!("content-length: {length}\r\n\r\n").as_bytes(),
                &self.body,
            ]
            .concat()
        };
        let chunked = b"transfer-encoding: chunked\r\n\r\n";
        match &self.framing {
            Framing::Length => sized(self.body.len()),
            Framing::TooLong(by) => sized(self.body.len() + by),
            Framing::Chunked(sizes) => {
                [&chunked[..], &in_chunks(&self.body, sizes), b"0\r\n\r\n"].concat()
            }
            Framing::Broken(bytes) => {
                [&chunked[..], &in_chunks(&self.body, &[100]), bytes].concat()
            }
            Framing::Contradiction => [
                &b"transfer-encoding: chunked\r\n"[..],
                &sized(self.body.len()),
            ]
            .concat(),
        }
    }

    /// Returns whether the server must accept it.
    fn is_valid(&self) -> bool {
        let is_text = |value: &Vec<u8>| {
            value
                .iter()
                .all(|byte| (32..127).contains(byte) || *byte == b'\t')
        };
        matches!(self.token, Token::Good)
            && matches!(self.digest, None | Some(Digest::Right))
            && self.content_type.as_ref().is_none_or(is_text)
            && matches!(self.framing, Framing::Length | Framing::Chunked(_))
    }

    /// Returns whether the server must refuse it.
    fn is_invalid(&self) -> bool {
        !matches!(self.token, Token::Good)
            || matches!(self.digest, Some(Digest::Wrong))
            || matches!(self.framing, Framing::TooLong(_) | Framing::Contradiction)
    }
}

fn in_chunks(body: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut framed = Vec::new();
    let mut rest = body;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at(rest.len().min(*size));
        framed.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        rest = after;
    }
    framed
}

/// Returns the ids of all files.
async fn stored(running: &Running) -> Vec<Id<StoredFile>> {
    let found = running
        .t
        .query(async |ctx| ctx.db.system.query(StoredFile::all()).collect().await)
        .await;
    found.unwrap().into_iter().map(|file| file.id).collect()
}

/// Waits until the contents of deleted and refused files are removed, which follows the response.
async fn assert_empty(running: &Running) {
    assert_eq!(
        stored(running).await,
        [],
        "a refused upload leaves no document"
    );
    for _ in 0..2_000 {
        if running.t.files().hashes().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("contents are left that no document references");
}

async fn upload_and_check(running: &Running, upload: &Upload) {
    let path = running.upload_path().await;
    let response = running.ask(upload.request(&path)).await;
    let status = response.status;
    assert!(matches!(status, 200 | 400 | 401 | 408), "{response:?}");
    assert!(status == 200 || !upload.is_valid(), "{response:?}");
    assert!(status != 200 || !upload.is_invalid(), "{response:?}");
    if status == 200 {
        let files = stored(running).await;
        assert_eq!(
            response.text(),
            format!(r#"{{"storageId":"{}"}}"#, files[0]),
            "it is the only file"
        );
        assert_eq!(files.len(), 1);
        read_back(running, &files[0], upload).await;
        running
            .t
            .mutation(async |ctx| ctx.storage.delete(&files[0]).await)
            .await
            .unwrap();
    }
    assert_empty(running).await;
}

async fn read_back(running: &Running, id: &Id<StoredFile>, upload: &Upload) {
    let url = running
        .t
        .query(async |ctx| ctx.storage.get_url(id).await)
        .await
        .unwrap()
        .unwrap();
    let response = running
        .get(url.strip_prefix("http://127.0.0.1:3210").unwrap(), &[])
        .await;
    assert_eq!(response.status, 200);
    // If the end of a body is invalid, hyper may have read less or more than was meant.
    if !matches!(upload.framing, Framing::Broken(_)) {
        assert!(
            response.body == upload.body,
            "{} bytes came back",
            response.body.len()
        );
    }
    if let Some(content_type) = &upload.content_type {
        let trimmed = content_type.trim_ascii();
        assert_eq!(
            response
                .header("content-type")
                .unwrap_or_default()
                .as_bytes()
                .trim_ascii(),
            trimmed
        );
    }
}

#[test]
fn upload_is_read_back_or_refused_and_removed() {
    let running = start();
    proptest!(|(upload in upload())| {
        RUNTIME.block_on(upload_and_check(&running, &upload));
    });
}

#[test]
fn invalid_bytes_do_not_make_the_server_fail() {
    let running = start();
    let path = RUNTIME.block_on(running.upload_path());
    proptest!(|(at in any::<Index>(), bytes in vec(any::<u8>(), 0..60), cut in any::<Index>())| {
        let whole = format!("POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc");
        let mut request = whole.into_bytes();
        let at = at.index(request.len());
        let end = at + cut.index(request.len() - at);
        request.splice(at..end, bytes);
        // The client hangs up, so that the server does not wait for a missing end.
        let answered = RUNTIME.block_on(running.ask_and_hang_up(&request));
        assert!(answered.is_none_or(|status| status < 500), "{answered:?}");
    });
    RUNTIME.block_on(async {
        running.stored(&[], b"still serving").await;
    });
}
