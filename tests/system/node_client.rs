use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use lentil_tests::{Clonk, Process, available};

fn node(address: &Path, key: &str, builds: usize) -> Command {
    let mut node = Command::new("node");
    node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/jobs.mjs"))
        .arg(address)
        .arg(key)
        .arg(builds.to_string());
    node
}

#[test]
fn a_node_service_reports_and_polls_without_failures() {
    if !available("node", "the Node client") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let clonk = Clonk::start(&folder.path().join("data"));
    let address = folder.path().join("address");
    fs::write(&address, &clonk.address).unwrap();
    let key = clonk.bearer().replace("Bearer ", "");
    let output = node(&address, &key, 60).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && printed.contains("done 60, 0 retries"),
        "{:?}: {printed}",
        output.status
    );
}

#[test]
fn a_node_service_survives_restarts_and_kill_9() {
    if !available("node", "the Node client") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let address = folder.path().join("address");
    let mut clonk = Clonk::start(&data);
    fs::write(&address, &clonk.address).unwrap();
    let key = clonk.bearer().replace("Bearer ", "");
    let mut running = Process::start(
        node(&address, &key, 60)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    for round in 0..4 {
        // The client may be anywhere by then.
        thread::sleep(Duration::from_millis(60));
        if round % 2 == 0 {
            clonk.kill();
        } else {
            clonk.stop();
        }
        clonk = Clonk::start(&data);
        fs::write(&address, &clonk.address).unwrap();
    }
    let mut output = String::new();
    let mut stdout = running.stdout.take().unwrap();
    let mut stderr = running.stderr.take().unwrap();
    stdout.read_to_string(&mut output).unwrap();
    stderr.read_to_string(&mut output).unwrap();
    let status = running.wait().unwrap();
    assert!(
        status.success() && output.contains("done 60"),
        "{status}: {output}"
    );
}
