use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use lentil_tests::{Clonk, Connection, eventually};
use serde_json::{Value, json};

use crate::files::{call, contents, incoming, path_of, start, upload_path};

const UPLOADERS: usize = 8;

fn rounds() -> u64 {
    std::env::var("LENTIL_TEST_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(5)
}

/// Returns the content of a file. Several files share some contents; the lengths vary.
fn content(round: u64, uploader: usize, at: usize) -> String {
    let seed = if at.is_multiple_of(3) {
        format!("shared {}", at % 9)
    } else {
        format!("{round}-{uploader}-{at}")
    };
    let length = 1 + seed.bytes().map(usize::from).sum::<usize>() * 331 % 400_000;
    seed.chars().cycle().take(length).collect()
}

/// The acknowledged files with their contents, without those whose deletion was requested.
type Stored = Arc<Mutex<Vec<(String, String)>>>;

/// Uploads files until the server is gone, and deletes some of them.
fn upload_and_delete(
    address: &str,
    round: u64,
    uploader: usize,
    stored: &Stored,
) -> std::io::Result<()> {
    let path = upload_path(address)?;
    for at in 0.. {
        let content = content(round, uploader, at);
        let response =
            Connection::open(address)?.request("POST", &path, &[], content.as_bytes())?;
        assert_eq!(response.status, 200, "{}", response.body);
        let response: Value = serde_json::from_str(&response.body)?;
        let id = response["storageId"].as_str().unwrap().to_owned();
        if at % 4 == 0 {
            // A deletion without a response may have happened or not. Both are allowed.
            call(address, "mutation", "files:delete", &json!({ "id": id }))?;
        } else {
            stored.lock().unwrap().push((id, content));
        }
    }
    Ok(())
}

fn check_all_there(clonk: &Clonk, stored: &[(String, String)]) {
    let mut connection = clonk.connect().unwrap();
    for (id, content) in stored {
        let url = call(&clonk.address, "query", "files:url", &json!({ "id": id })).unwrap();
        let response = connection.request("GET", &path_of(&url), &[], b"").unwrap();
        assert_eq!(
            response.status, 200,
            "{id} was acknowledged and is gone: {}",
            response.body
        );
        assert!(
            response.body == *content,
            "{id} has another content than was sent"
        );
    }
}

/// Returns the hashes in the documents, in hexadecimal digits.
fn named(clonk: &Clonk) -> BTreeSet<String> {
    let files = call(&clonk.address, "query", "files:list", &json!({})).unwrap();
    let hex = |file: &Value| base64_to_hex(file["sha256"].as_str().unwrap());
    files.as_array().unwrap().iter().map(hex).collect()
}

fn base64_to_hex(text: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let sextets = text
        .bytes()
        .filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte));
    let bits: String = sextets.map(|sextet| format!("{sextet:06b}")).collect();
    let nibbles = bits.as_bytes().chunks_exact(4).take(64);
    nibbles
        .map(|bits| {
            format!(
                "{:x}",
                bits.iter()
                    .fold(0, |nibble, bit| nibble << 1 | (bit - b'0'))
            )
        })
        .collect()
}

fn has_only_what_is_named(clonk: &Clonk, data: &Path) {
    let named = named(clonk);
    eventually("orphans are swept", || contents(data) == named);
    assert_eq!(incoming(data), 0, "unfinished uploads are removed");
}

#[test]
fn acknowledged_files_survive_kill_9_and_orphans_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut all = Vec::new();
    for round in 0..rounds() {
        let clonk = start(&data);
        let stored = Stored::default();
        let uploaders: Vec<_> = (0..UPLOADERS)
            .map(|uploader| {
                let (address, stored) = (clonk.address.clone(), Arc::clone(&stored));
                thread::spawn(move || drop(upload_and_delete(&address, round, uploader, &stored)))
            })
            .collect();
        // Each round kills the server at another moment.
        let enough = 15 + 23 * (round as usize % 5);
        eventually("files are acknowledged", || {
            stored.lock().unwrap().len() >= enough
        });
        thread::sleep(Duration::from_millis(round * 3 % 17));
        clonk.kill();
        for uploader in uploaders {
            uploader.join().unwrap();
        }
        all.extend(Arc::try_unwrap(stored).unwrap().into_inner().unwrap());
        let again = start(&data);
        check_all_there(&again, &all);
        has_only_what_is_named(&again, &data);
        again.kill();
    }
    assert!(all.len() as u64 >= 15 * rounds());
}

#[test]
fn orphans_of_crashes_are_swept_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    start(&data).stop();
    std::fs::write(
        data.join("files").join("0".repeat(64)),
        "left before its document was written",
    )
    .unwrap();
    std::fs::write(data.join("files/incoming/7"), "left before it was whole").unwrap();
    std::fs::write(data.join("files/README"), "not ours").unwrap();
    let clonk = start(&data);
    eventually("it is swept", || {
        contents(&data) == BTreeSet::from(["README".to_owned()])
    });
    assert_eq!(incoming(&data), 0);
    drop(clonk);
}

#[test]
fn base64_converts_to_hex() {
    assert_eq!(
        base64_to_hex("LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=")[..8],
        *"2cf24dba"
    );
}
