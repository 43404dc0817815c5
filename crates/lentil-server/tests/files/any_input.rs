//! Whatever is sent to where files are uploaded and read: nothing fails on the server's side, what is acknowledged
//! is read back as it was sent, and of what is refused nothing is left.

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

use crate::{Answer, Running};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// One server a test: each case leaves it empty.
fn start() -> Running {
    // What does not come whole need not be waited for long.
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

/// How the length of a body is told.
#[derive(Clone, Debug)]
enum Framing {
    Length,
    /// So many bytes are told more than are sent.
    TooLong(usize),
    Chunked(Vec<usize>),
    /// A body in chunks that does not end as one does.
    Broken(Vec<u8>),
    /// Both at once.
    Contradiction,
}

#[derive(Clone, Debug)]
struct Upload {
    token: Token,
    digest: Option<Digest>,
    content_type: Option<Vec<u8>>,
    framing: Framing,
    /// Headers that say nothing of how the body is to be read.
    others: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
}

/// Bytes that do not end a header, often such as mean something.
fn header_value() -> impl Strategy<Value = Vec<u8>> {
    let any = vec(prop_oneof![32_u8..127, 128_u8..=255, Just(b'\t')], 0..30);
    let telling = select(vec![
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
    prop_oneof![any, telling.prop_map(|text| text.as_bytes().to_vec())]
}

fn other_headers() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
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
    /// The request, to this path, which has a good token.
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
        self.headers().for_each(|(name, value)| {
            request.extend([name.as_bytes(), b": ", &value, b"\r\n"].concat());
        });
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

    /// The end of the head, and the body.
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

    /// Returns whether nothing is wrong with it.
    fn is_good(&self) -> bool {
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

    /// Returns whether it must not be stored.
    fn is_bad(&self) -> bool {
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

/// Every document of a file.
async fn stored(running: &Running) -> Vec<Id<StoredFile>> {
    let found = running
        .t
        .query(async |ctx| ctx.db.system.query(StoredFile::all()).collect().await)
        .await;
    found.unwrap().into_iter().map(|file| file.id).collect()
}

/// Waits until the contents of deleted and refused files are gone: that is done after the answer.
async fn has_nothing(running: &Running) {
    assert_eq!(
        stored(running).await,
        [],
        "what is refused leaves no document"
    );
    for _ in 0..2_000 {
        if running.t.files().hashes().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("a content is left that no document names");
}

async fn upload_and_check(running: &Running, upload: &Upload) {
    let path = running.upload_path().await;
    let answer = running.ask(upload.request(&path)).await;
    let status = answer.status;
    assert!(matches!(status, 200 | 400 | 401 | 408), "{answer:?}");
    assert!(status == 200 || !upload.is_good(), "{answer:?}");
    assert!(status != 200 || !upload.is_bad(), "{answer:?}");
    if status == 200 {
        let files = stored(running).await;
        assert_eq!(
            answer.text(),
            format!(r#"{{"storageId":"{}"}}"#, files[0]),
            "it is the only one"
        );
        assert_eq!(files.len(), 1);
        read_back(running, &files[0], upload).await;
        running
            .t
            .mutation(async |ctx| ctx.storage.delete(&files[0]).await)
            .await
            .unwrap();
    }
    has_nothing(running).await;
}

async fn read_back(running: &Running, id: &Id<StoredFile>, upload: &Upload) {
    let url = running
        .t
        .query(async |ctx| ctx.storage.get_url(id).await)
        .await
        .unwrap()
        .unwrap();
    let answer = running
        .get(url.strip_prefix("http://127.0.0.1:3210").unwrap(), &[])
        .await;
    assert_eq!(answer.status, 200);
    // Of a body whose end is broken, hyper may have understood less or more than was meant.
    if !matches!(upload.framing, Framing::Broken(_)) {
        assert!(
            answer.body == upload.body,
            "{} bytes came back",
            answer.body.len()
        );
    }
    if let Some(content_type) = &upload.content_type {
        let trimmed = content_type.trim_ascii();
        assert_eq!(
            answer
                .header("content-type")
                .unwrap_or_default()
                .as_bytes()
                .trim_ascii(),
            trimmed
        );
    }
}

#[test]
fn what_is_uploaded_is_read_back_or_refused_and_gone() {
    let running = start();
    proptest!(|(upload in upload())| {
        RUNTIME.block_on(upload_and_check(&running, &upload));
    });
}

/// How a download names the bytes it wants.
#[derive(Clone, Debug)]
enum Wanted {
    All,
    From(u64),
    FromTo(u64, u64),
    Last(u64),
    Other(Vec<u8>),
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let number = || prop_oneof![4 => 0_u64..60, 1 => any::<u64>()];
    prop_oneof![
        Just(Wanted::All),
        number().prop_map(Wanted::From),
        (number(), number()).prop_map(|(first, last)| Wanted::FromTo(first, last)),
        number().prop_map(Wanted::Last),
        header_value().prop_map(Wanted::Other),
    ]
}

impl Wanted {
    fn header(&self) -> Vec<u8> {
        match self {
            Wanted::All => Vec::new(),
            Wanted::From(first) => format!("range: bytes={first}-\r\n").into_bytes(),
            Wanted::FromTo(first, last) => format!("range: bytes={first}-{last}\r\n").into_bytes(),
            Wanted::Last(count) => format!("range: bytes=-{count}\r\n").into_bytes(),
            Wanted::Other(value) => [b"range: ", &value[..], b"\r\n"].concat(),
        }
    }

    /// The status and the bytes that are right, where nothing else is asked.
    fn answer<'c>(&self, content: &'c [u8]) -> Option<(u16, &'c [u8])> {
        let size = content.len() as u64;
        let (first, last) = match *self {
            Wanted::All => return Some((200, content)),
            Wanted::Other(_) => return None,
            // What is no range says nothing.
            Wanted::FromTo(first, last) if first > last => return Some((200, content)),
            Wanted::From(first) => (first, u64::MAX),
            Wanted::FromTo(first, last) => (first, last),
            Wanted::Last(0) => return Some((416, &[])),
            Wanted::Last(count) => (size.saturating_sub(count), u64::MAX),
        };
        if first >= size {
            return Some((416, &[]));
        }
        Some((206, &content[first as usize..=last.min(size - 1) as usize]))
    }
}

/// A path under `/api/storage/`, most often the file's.
fn path() -> impl Strategy<Value = Option<String>> {
    prop_oneof![8 => Just(None), 1 => "[!-\"$-~]{0,50}".prop_map(Some), 1 => "[0-9a-f-]{36}".prop_map(Some)]
}

fn check_download(answer: &Answer, method: &str, wanted: &Wanted, is_plain: bool, content: &[u8]) {
    let status = answer.status;
    assert!(
        matches!(status, 200 | 206 | 304 | 400 | 404 | 405 | 412 | 416),
        "{answer:?}"
    );
    if method == "HEAD" || matches!(status, 304 | 412 | 416) {
        assert!(answer.body.is_empty(), "{answer:?}");
    } else if status == 206 {
        let range = answer
            .header("content-range")
            .and_then(|range| range.strip_prefix("bytes "));
        let (range, size) = range.and_then(|range| range.split_once('/')).unwrap();
        let (first, last) = range.split_once('-').unwrap();
        let range = first.parse::<usize>().unwrap()..=last.parse::<usize>().unwrap();
        assert_eq!(size.parse(), Ok(content.len()));
        assert!(answer.body == content[range], "{answer:?}");
    } else if status == 200 {
        assert!(answer.body == content, "{answer:?}");
    }
    if let Some((status, bytes)) = wanted.answer(content).filter(|_| is_plain) {
        assert_eq!(answer.status, status, "{wanted:?}: {answer:?}");
        assert!(
            method == "HEAD" || answer.body == bytes,
            "{wanted:?}: {answer:?}"
        );
    }
}

#[test]
fn whatever_is_asked_of_a_file_the_answer_is_of_its_bytes() {
    let running = start();
    let content: Vec<u8> = (0..47).collect();
    let url = RUNTIME.block_on(running.stored(&[], &content));
    let methods = select(vec![
        "GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "DELETE", "PUT", "X",
    ]);
    proptest!(|(method in methods, path in path(), wanted in wanted(), others in other_headers())| {
        let is_file = path.is_none();
        let path = path.map_or(url.clone(), |path| format!("/api/storage/{path}"));
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n").into_bytes();
        request.extend(wanted.header());
        others.iter().for_each(|(name, value)| request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat()));
        request.extend(b"\r\n");
        let answer = RUNTIME.block_on(running.ask(request));
        let is_plain = is_file && matches!(method, "GET" | "HEAD")
            && others.iter().all(|(name, _)| !name.starts_with("if-") && *name != "range");
        if is_file && matches!(method, "GET" | "HEAD") {
            check_download(&answer, method, &wanted, is_plain, &content);
        } else {
            assert!(matches!(answer.status, 204 | 400 | 401 | 404 | 405), "{answer:?}");
        }
    });
}

#[test]
fn no_bytes_at_all_make_the_server_fail() {
    let running = start();
    let path = RUNTIME.block_on(running.upload_path());
    proptest!(|(at in any::<Index>(), bytes in vec(any::<u8>(), 0..60), cut in any::<Index>())| {
        let whole = format!("POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc");
        let mut request = whole.into_bytes();
        let at = at.index(request.len());
        let end = at + cut.index(request.len() - at);
        request.splice(at..end, bytes);
        // An end that never comes is hung up on, so that the server need not wait for it.
        let answered = RUNTIME.block_on(running.ask_and_hang_up(&request));
        assert!(answered.is_none_or(|status| status < 500), "{answered:?}");
    });
    RUNTIME.block_on(async {
        running.stored(&[], b"and goes on").await;
    });
}
