use std::fs;
use std::net::TcpListener;
use std::process::Command;

use lentil_tests::{Clonk, Start, available, clonk_path, folder_state};

/// Checks that a start fails with one sentence on standard error and exit code 1.
pub(crate) fn check((code, output): (Option<i32>, String), expected: &[&str]) {
    assert_eq!(code, Some(1), "{output}");
    assert_eq!(output.trim_end().lines().count(), 1, "{output}");
    assert!(
        output.starts_with("clonk: ") && expected.iter().all(|part| output.contains(part)),
        "{expected:?} is not all in {output}"
    );
}

#[test]
fn a_port_in_use_refuses_the_start_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    check(
        Start::new(&data).port(port).refuse(),
        &["cannot listen", &port.to_string(), "--port"],
    );
    assert!(!data.exists());
}

#[test]
fn a_folder_that_is_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::write(&data, "not a folder").unwrap();
    check(
        Start::new(&data).refuse(),
        &["data folder", "choose another"],
    );
    assert_eq!(fs::read_to_string(&data).unwrap(), "not a folder");
}

#[test]
fn a_folder_of_another_user_is_refused() {
    if !available("setpriv", "a data folder without permission") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(
        folder.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    // The user `nobody` must be able to execute the program.
    let program = folder.path().join("clonk");
    fs::copy(clonk_path(), &program).unwrap();
    let as_nobody = || {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(&program);
        command
    };
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|id| id.stdout == b"0\n");
    if !is_root {
        eprintln!("SKIPPED a data folder without permission: only root can become someone else");
        return;
    }
    let data = folder.path().join("data");
    check(
        Start::through(as_nobody(), &data).refuse(),
        &["data folder", "Permission denied"],
    );
    Clonk::start(&data).stop();
    let before = folder_state(&data);
    check(
        Start::through(as_nobody(), &data).refuse(),
        &["data folder", "Permission denied"],
    );
    assert_eq!(folder_state(&data), before);
}

#[test]
fn a_foreign_database_is_refused_and_left_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Clonk::start(&data).stop();
    let file = data.join("lentil.sqlite3");
    let good = fs::read(&file).unwrap();
    let spoil = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        fs::write(&file, bytes).unwrap();
    };
    type Change<'c> = &'c dyn Fn(&mut Vec<u8>);
    let cases: &[(Change<'_>, &str)] = &[
        (&|bytes| bytes.truncate(50), "not a Lentil database"),
        (&|bytes| bytes[..16].fill(b'x'), "not a Lentil database"),
        (&|bytes| bytes[68..72].fill(0), "not a Lentil database"),
        (
            &|bytes| bytes[60..64].copy_from_slice(&[0, 0, 0, 99]),
            "use a newer version",
        ),
        (&|bytes| bytes[100..].fill(0xee), "damaged"),
    ];
    for (change, expected) in cases {
        spoil(change);
        let before = fs::read(&file).unwrap();
        check(Start::new(&data).refuse(), &[expected, "lentil.sqlite3"]);
        assert_eq!(fs::read(&file).unwrap(), before, "{expected}");
    }
    spoil(&|_| ());
    assert_eq!(Clonk::start(&data).get_job("x").status, 404);
}

#[test]
fn a_second_server_on_a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = Clonk::start(&folder.path().join("data"));
    first.post_job("a", "classifying");
    check(
        Start::new(&first.data).refuse(),
        &["in use by another server"],
    );
    assert_eq!(first.post_job("b", "classifying").status, 200);
}

#[test]
fn an_invalid_flag_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let (code, output) = Start::new(&folder.path().join("data"))
        .args(&["--host", "nonsense"])
        .refuse();
    assert_eq!(code, Some(2));
    assert!(output.contains("--host"), "{output}");
}
