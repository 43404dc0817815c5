use std::io::Write;

use crate::KEY;

/// What is asked of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Jobs that exist, each as often as the others.
    Get,
    /// Jobs that exist, a few of them mostly.
    GetZipf,
    /// Each job that is to exist, once.
    Fill,
    /// Jobs that are new.
    PostNew,
    /// Jobs that exist, each as often as the others.
    PostKnown,
    /// Jobs that exist, a few of them mostly.
    PostZipf,
    /// One job, over and over.
    PostHot,
    /// A job for each connection, over and over.
    PostOwn,
    /// Four `GetZipf` to one `PostZipf`.
    Mixed,
    /// `counters:add` of `testapp`, of a few counters.
    AddToCounter,
}

impl Load {
    /// Whether every request must be durable when it is answered.
    pub(crate) fn is_writes(self) -> bool {
        !matches!(self, Load::Get | Load::GetZipf | Load::Mixed)
    }
}

/// Makes requests: which job is asked for, and the bytes that ask.
pub(crate) struct Jobs {
    /// How many jobs exist.
    known: u64,
    next: u64,
    random: u64,
    /// For each job, in the order of how often it is asked for, the share of what is asked for up to it.
    shares: Vec<f64>,
}

/// How skewed Zipf is: the customary exponent of key-value benchmarks.
const SKEW: f64 = 0.99;
/// How many of the jobs the skewed loads choose from.
const SKEWED: u64 = 10_000;

impl Jobs {
    /// Jobs of a server on which the first `known` exist.
    pub(crate) fn new(known: u64) -> Jobs {
        let weights = (1..=known.min(SKEWED)).map(|rank| (rank as f64).powf(-SKEW));
        let mut shares: Vec<f64> = weights
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        let total = shares.last().copied().unwrap_or(1.0);
        shares.iter_mut().for_each(|share| *share /= total);
        Jobs {
            known,
            next: 0,
            random: 1,
            shares,
        }
    }

    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(1);
        mix(self.random)
    }

    fn any(&mut self) -> u64 {
        self.random() % self.known
    }

    /// A job by Zipf; ranks are spread over the jobs, which makes no difference to a hash and some to a tree.
    fn popular(&mut self) -> u64 {
        let share = self.random() as f64 / u64::MAX as f64;
        let rank = self.shares.partition_point(|upto| *upto < share) as u64;
        mix(rank) % self.known
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Writes the next request of `load` over the connection with this number.
    pub(crate) fn request(&mut self, load: Load, connection: usize, into: &mut Vec<u8>) {
        into.clear();
        match load {
            Load::Get => get(self.any(), into),
            Load::GetZipf => get(self.popular(), into),
            Load::Fill => post(self.next(), 0, into),
            Load::PostNew => post(self.known + self.next(), 0, into),
            Load::PostKnown => post(self.any(), self.random, into),
            Load::PostZipf => post(self.popular(), self.random, into),
            Load::PostHot => post(0, self.next(), into),
            Load::PostOwn => post(connection as u64, self.next(), into),
            Load::Mixed if self.random().is_multiple_of(5) => {
                post(self.popular(), self.random, into)
            }
            Load::Mixed => get(self.popular(), into),
            Load::AddToCounter => add(
                &format!("elsewhere-{connection}-{}", self.next() % 50),
                into,
            ),
        }
    }
}

/// Spreads numbers over all numbers, no two to one (splitmix64).
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The UUID of a job.
pub(crate) fn job_id(job: u64) -> String {
    let (high, low) = (mix(job), mix(job ^ (1 << 63)));
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
    format!(
        "{a:08x}-{b:04x}-4{c:03x}-8{:03x}-{:012x}",
        (low >> 48) & 0xfff,
        low & 0xffff_ffff_ffff
    )
}

fn get(job: u64, into: &mut Vec<u8>) {
    let id = job_id(job);
    let written = write!(
        into,
        "GET /api/job?id={id} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {KEY}\r\n\r\n"
    );
    written.expect("memory takes it");
}

fn post(job: u64, stage: u64, into: &mut Vec<u8>) {
    let id = job_id(job);
    let body = format!(
        r#"{{"jobId":"{id}","idea":"an app that counts the birds in my garden and draws them","username":"ada","status":"processing","stage":"stage-{stage}","createdAt":1767225600000}}"#
    );
    let length = body.len();
    let written = write!(
        into,
        "POST /api/job HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    written.expect("memory takes it");
}

/// A mutation of `testapp`, which adds 1 to a counter.
pub(crate) fn add(counter: &str, into: &mut Vec<u8>) {
    let body = format!(
        r#"{{"path":"counters:add","args":{{"name":"{counter}","by":{{"$integer":"AQAAAAAAAAA="}}}}}}"#
    );
    let length = body.len();
    let written = write!(
        into,
        "POST /api/mutation HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    written.expect("memory takes it");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_job_has_a_uuid_of_its_own() {
        let ids: BTreeSet<String> = (0..20_000).map(job_id).collect();
        assert_eq!(ids.len(), 20_000);
        let id = ids.first().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(
            id.split('-').map(str::len).collect::<Vec<_>>(),
            [8, 4, 4, 4, 12]
        );
    }

    #[test]
    fn a_few_jobs_are_asked_for_mostly() {
        let mut jobs = Jobs::new(10_000);
        let mut asked = std::collections::HashMap::<u64, usize>::new();
        for _ in 0..100_000 {
            *asked.entry(jobs.popular()).or_default() += 1;
        }
        let most = asked.values().max().unwrap();
        // The first of 10,000 has a share of 1/9.8 with this exponent.
        assert!((8_000..12_000).contains(most), "{most}");
        assert!(
            asked.len() > 5_000,
            "the others are asked for too: {}",
            asked.len()
        );
    }

    #[test]
    fn new_jobs_are_not_among_the_known() {
        let (mut jobs, mut request) = (Jobs::new(100), Vec::new());
        let known: Vec<String> = (0..100).map(job_id).collect();
        for _ in 0..100 {
            jobs.request(Load::PostNew, 0, &mut request);
            let text = String::from_utf8(request.clone()).unwrap();
            assert!(known.iter().all(|id| !text.contains(id)));
            let (_, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(text.contains(&format!("content-length: {}\r\n", body.len())));
        }
    }
}
