//! Flipped bits in a closed database.
//!
//! Before documents had checksums, half of the flipped bits gave wrong jobs with status 200.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lentil_tests::Clonk;

const DATABASE: &str = "lentil.sqlite3";
const JOBS: usize = 30;

/// Fills a data folder with jobs, and returns each job as the server shows it.
fn jobs(data: &Path) -> BTreeMap<String, String> {
    let clonk = Clonk::start(data);
    let mut jobs = BTreeMap::new();
    for at in 0..JOBS {
        let job_id = format!("job-{at}");
        assert_eq!(clonk.post_job(&job_id, &format!("stage {at}!")).status, 200);
        jobs.insert(job_id.clone(), clonk.get_job(&job_id).body);
    }
    assert!(clonk.stop().success());
    jobs
}

#[test]
fn a_damaged_job_is_logged_and_the_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let jobs = jobs(&data);
    let mut bytes = fs::read(data.join(DATABASE)).unwrap();
    // After a page was split, an unused copy of its cells remains.
    let stage = b"stage 7!";
    let copies: Vec<usize> = (0..bytes.len() - stage.len())
        .filter(|at| bytes[*at..].starts_with(stage))
        .collect();
    assert!(!copies.is_empty());
    for at in copies {
        bytes[at + 6] ^= 1;
    }
    fs::write(data.join(DATABASE), bytes).unwrap();

    let clonk = Clonk::start(&data);
    for (job_id, job) in &jobs {
        let found = clonk.get_job(job_id);
        if job_id == "job-7" {
            assert_eq!(found.status, 500);
            assert!(!found.body.contains("damaged"), "{}", found.body);
        } else {
            assert_eq!((found.status, &found.body), (200, job));
        }
    }
    assert_eq!(clonk.post_job("job-7", "over").status, 500);
    assert_eq!(clonk.post_job("job-8", "over").status, 200);
    let log = fs::read_to_string(data.with_extension("log")).unwrap();
    let line = log
        .lines()
        .find(|line| line.contains("of the table `jobs` is damaged"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("UPDATE _documents_"), "{line}");
}
