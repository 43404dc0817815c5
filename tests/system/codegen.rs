use std::fs;
use std::process::Command;

use lentil_tests::{Packages, clonk_path, testapp_path};

#[test]
fn a_typescript_project_compiles_with_the_generated_types() {
    let older = Packages::of_node_and_convex("codegen", "1.48.0");
    for packages in [Packages::of_node("codegen"), older].iter().flatten() {
        check_types(packages);
    }
}

fn check_types(packages: &Packages) {
    let generated = packages.folder().join("generated");
    let wrote = Command::new(testapp_path())
        .args(["codegen", "--out"])
        .arg(&generated)
        .status();
    assert!(wrote.expect("testapp runs").success());
    let tsc = packages.folder().join("node_modules/typescript/bin/tsc");
    let output = Command::new("node")
        .arg(tsc)
        .args(["--project", "."])
        .current_dir(packages.folder())
        .output();
    let output = output.expect("node runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn codegen_needs_no_data_and_explains_errors() {
    let folder = tempfile::tempdir().unwrap();
    let codegen = |args: &[&str]| {
        let mut command = Command::new(clonk_path());
        command
            .current_dir(folder.path())
            .arg("codegen")
            .args(args)
            .output()
            .expect("clonk runs")
    };
    assert!(codegen(&["--out", "out"]).status.success());
    let mut made: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(made.pop().unwrap(), "out");
    assert!(
        made.is_empty(),
        "nothing but the folder that was asked for: {made:?}"
    );
    assert!(codegen(&["--out", "out", "--check"]).status.success());
    fs::write(folder.path().join("out/api.d.ts"), "old").unwrap();
    let stale = codegen(&["--out", "out", "--check"]);
    assert_eq!(stale.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&stale.stderr).contains("out/api.d.ts"));
    fs::write(folder.path().join("file"), "").unwrap();
    let refused = codegen(&["--out", "file"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&refused.stderr).lines().count(), 1);
}
