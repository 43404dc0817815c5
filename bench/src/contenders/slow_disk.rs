use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The compiled library of `slow_fsync.c`, which servers preload.
#[derive(Clone, Debug)]
pub(crate) struct Shim(PathBuf);

impl Shim {
    /// Compiles it. Prints a warning and returns `None` if there is no C compiler.
    pub(crate) fn compile(folder: &Path) -> Option<Shim> {
        let source = folder.join("slow_fsync.c");
        let library = folder.join("slow_fsync.so");
        fs::write(&source, include_str!("../../slow_fsync.c"))
            .expect("the folder can be written to");
        let compiled = Command::new("cc")
            .args(["-O2", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(&source)
            .status();
        if !compiled.is_ok_and(|status| status.success()) {
            println!(
                "NO C COMPILER (`cc`): fsyncs are not counted, and the rows of the slow disk are missing.\n"
            );
            return None;
        }
        Some(Shim(library))
    }

    /// Makes a program count its fsyncs and delay them on request. It shares `file` with this process.
    pub(crate) fn preload(&self, command: &mut Command, file: &Path) -> Fsyncs {
        fs::write(file, [0; 16]).expect("the folder can be written to");
        command
            .env("LD_PRELOAD", &self.0)
            .env("LENTIL_FSYNC_FILE", file);
        Fsyncs(
            File::options()
                .read(true)
                .write(true)
                .open(file)
                .expect("it was just written"),
        )
    }
}

/// The fsyncs of a running program.
pub(crate) struct Fsyncs(File);

impl Fsyncs {
    /// Returns the number so far.
    pub(crate) fn count(&self) -> u64 {
        let mut number = [0; 8];
        self.0
            .read_exact_at(&mut number, 0)
            .expect("the file is there");
        u64::from_le_bytes(number)
    }

    /// Adds this delay to each later one.
    pub(crate) fn delay(&self, by: Duration) {
        self.0
            .write_all_at(&(by.as_micros() as u64).to_le_bytes(), 8)
            .expect("the file is there");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn fsyncs_of_another_process_are_counted_and_delayed() {
        let folder = tempfile::tempdir().unwrap();
        let Some(shim) = Shim::compile(folder.path()) else {
            return;
        };
        let mut command = Command::new("dd");
        let file = format!("of={}", folder.path().join("written").display());
        command.args([
            "if=/dev/zero",
            "count=1",
            "conv=fsync",
            "status=none",
            &file,
        ]);
        let fsyncs = shim.preload(&mut command, &folder.path().join("shared"));
        assert!(command.status().unwrap().success());
        assert_eq!(fsyncs.count(), 1);
        fsyncs.delay(Duration::from_millis(300));
        let began = Instant::now();
        assert!(command.status().unwrap().success());
        assert_eq!(fsyncs.count(), 2);
        assert!(began.elapsed() > Duration::from_millis(300));
    }
}
