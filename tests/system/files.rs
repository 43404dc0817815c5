use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lentil_tests::{
    Clonk, Connection, Response, Start, available, eventually, remove_file_size_limit, testapp_path,
};
use serde_json::{Value, json};

/// Starts the test application on a data folder.
pub(crate) fn start(data: &Path) -> Clonk {
    Start::through(Command::new(testapp_path()), data).run()
}

/// Calls a function and returns its result.
pub(crate) fn call(address: &str, kind: &str, path: &str, args: &Value) -> std::io::Result<Value> {
    let body = json!({ "path": path, "args": args, "format": "json" }).to_string();
    let headers = [("content-type", "application/json")];
    let response = Connection::open(address)?.request(
        "POST",
        &format!("/api/{kind}"),
        &headers,
        body.as_bytes(),
    )?;
    let response: Value = serde_json::from_str(&response.body)?;
    assert_eq!(response["status"], "success", "{path}: {response}");
    Ok(response["value"].clone())
}

/// Returns the path of an upload URL.
pub(crate) fn upload_path(address: &str) -> std::io::Result<String> {
    let url = call(address, "mutation", "files:uploadUrl", &json!({}))?;
    Ok(path_of(&url))
}

pub(crate) fn path_of(url: &Value) -> String {
    let url = url.as_str().expect("the result is a URL");
    url[url
        .find("/api/storage/")
        .expect("the URL is that of a file")..]
        .to_owned()
}

/// Lists the blobs in the data folder.
pub(crate) fn contents(data: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(data.join("files"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "incoming").collect()
}

pub(crate) fn incoming(data: &Path) -> usize {
    fs::read_dir(data.join("files/incoming")).unwrap().count()
}

/// Uploads a file.
pub(crate) fn upload(clonk: &Clonk, body: &[u8]) -> Response {
    let path = upload_path(&clonk.address).unwrap();
    clonk
        .connect()
        .unwrap()
        .request("POST", &path, &[], body)
        .unwrap()
}

#[test]
fn a_file_larger_than_the_disk_is_rejected_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    start(&data).stop();
    let clonk = Start::with_file_size_limit(testapp_path(), 4_000, &data).run();
    assert_eq!(upload(&clonk, &[b'a'; 100_000]).status, 200);
    for _ in 0..3 {
        let refused = upload(&clonk, &vec![b'b'; 8_000_000]);
        assert_eq!(refused.status, 503, "{}", refused.body);
        assert!(
            !refused.body.contains("files/"),
            "the error shows no path: {}",
            refused.body
        );
        eventually("the unfinished upload is removed", || incoming(&data) == 0);
    }
    assert_eq!(contents(&data).len(), 1);
    assert_eq!(
        upload(&clonk, &[b'c'; 100_000]).status,
        200,
        "the next upload succeeds"
    );
    if remove_file_size_limit(clonk.pid(), "uploading again when the disk has room") {
        assert_eq!(upload(&clonk, &vec![b'b'; 8_000_000]).status, 200);
    }
}

#[test]
fn the_files_folder_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let clonk = start(&data);
    upload(&clonk, b"private");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data.join("files")), 0o700);
    for name in contents(&data) {
        assert_eq!(mode(&data.join("files").join(name)), 0o600);
    }
}

/// Between the bytes of an upload and its response, the file is synced, renamed, and its folder is synced.
#[test]
fn a_file_is_synced_before_it_is_acknowledged() {
    if !available("strace", "the system-call trace of an upload") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args([
        "-D",
        "-f",
        "-qq",
        "-y",
        "-s",
        "200",
        "-e",
        "trace=fsync,rename,renameat,renameat2,writev,sendto,write",
        "-o",
    ]);
    strace.arg(&trace).arg(testapp_path());
    let clonk = Start::through(strace, &folder.path().join("data")).run();
    assert_eq!(upload(&clonk, b"traced").status, 200);
    clonk.terminate();
    drop(clonk);
    let trace = fs::read_to_string(&trace).unwrap();
    let mut order = Vec::new();
    // Lines of other threads may be between a call and its result.
    let mut flushing = None;
    for line in trace.lines() {
        let thread = line.split_whitespace().next();
        if line.contains("fsync(") && line.contains("data/files>") {
            flushing = thread;
        }
        if flushing.is_some() && flushing == thread && line.trim_end().ends_with("= 0") {
            flushing = None;
            order.push("folder");
        } else if line.contains("fsync(") && line.contains("/files/incoming/") {
            order.push("file");
        } else if line.contains("rename") && line.contains("/files/incoming/") {
            order.push("name");
        } else if line.contains("storageId") {
            order.push("response");
        }
    }
    // The first sync of the folder is that of the start.
    let order: Vec<_> = order
        .into_iter()
        .skip_while(|step| *step == "folder")
        .collect();
    assert_eq!(order, ["file", "name", "folder", "response"]);
}

/// Returns the peak memory in bytes.
pub(crate) fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .expect("Linux reports it");
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        << 10
}

/// The file has a gigabyte if everything is tested, otherwise more than the allowed memory.
#[test]
fn a_large_file_needs_little_memory() {
    const BLOCK: usize = 1 << 20;
    let blocks: usize = if std::env::var_os("LENTIL_TEST_ALL").is_some() {
        1_024
    } else {
        96
    };
    let folder = tempfile::tempdir().unwrap();
    let clonk = start(&folder.path().join("data"));
    upload(&clonk, &[b'w'; 100_000]);
    let before = peak(clonk.pid());

    let block = |at: usize| -> Vec<u8> {
        (0..BLOCK)
            .map(|byte| (byte * 31 + at * 7 + byte / 251) as u8)
            .collect()
    };
    let path = upload_path(&clonk.address).unwrap();
    let began = Instant::now();
    let mut connection = clonk.connect().unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n",
        blocks * BLOCK
    );
    connection.send(head.as_bytes()).unwrap();
    for at in 0..blocks {
        connection.send(&block(at)).unwrap();
    }
    let stored = connection.read().unwrap();
    let uploaded = began.elapsed();
    assert_eq!(stored.status, 200, "{}", stored.body);
    let stored: Value = serde_json::from_str(&stored.body).unwrap();

    let url = call(
        &clonk.address,
        "query",
        "files:url",
        &json!({ "id": stored["storageId"] }),
    )
    .unwrap();
    let began = Instant::now();
    let mut stream = TcpStream::connect(&clonk.address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n",
        path_of(&url)
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let mut read = vec![0; BLOCK];
    for at in 0..blocks {
        stream.read_exact(&mut read).unwrap();
        assert!(read == block(at), "block {at} is as it was sent");
    }
    let grown = peak(clonk.pid()).saturating_sub(before);
    let (size, downloaded) = (blocks * BLOCK, began.elapsed());
    println!(
        "{} MiB: in {uploaded:?}, out {downloaded:?}, {} KiB more memory",
        size >> 20,
        grown >> 10
    );
    assert!(grown < 24 << 20, "{grown} bytes more for a file of {size}");
    // An action that forwards a stream needs as little memory.
    call(
        &clonk.address,
        "action",
        "files:copy",
        &json!({ "id": stored["storageId"] }),
    )
    .unwrap();
    let grown = peak(clonk.pid()).saturating_sub(before);
    assert!(grown < 24 << 20, "{grown} bytes more for a copy");
}
