use std::io::Write;

/// The key with which all servers are started.
pub(crate) const KEY: &str = "a-key-for-the-bench";

/// The kind of requests that a server gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Reads existing jobs, all equally often.
    Get,
    /// Reads existing jobs in a Zipf distribution.
    GetZipf,
    /// Creates each job once.
    Fill,
    /// Creates new jobs.
    PostNew,
    /// Updates existing jobs, all equally often.
    PostKnown,
    /// Updates existing jobs in a Zipf distribution.
    PostZipf,
    /// Updates one job.
    PostHot,
    /// Updates one job for each connection.
    PostOwn,
    /// Sends four `GetZipf` to one `PostZipf`.
    Mixed,
    /// Calls `counters:add` of `testapp` on a few counters.
    AddToCounter,
}

impl Load {
    /// Returns whether every request is a write.
    pub(crate) fn is_writes(self) -> bool {
        !matches!(self, Load::Get | Load::GetZipf | Load::Mixed)
    }
}

/// The generator of requests.
pub(crate) struct Jobs {
    /// The number of existing jobs.
    known: u64,
    next: u64,
    random: u64,
    /// The cumulative Zipf distribution over the ranks.
    shares: Vec<f64>,
}

/// The exponent of the Zipf distribution that key-value benchmarks use.
const ZIPF_EXPONENT: f64 = 0.99;
/// The number of ranks of the Zipf distribution.
const ZIPF_RANKS: u64 = 10_000;

impl Jobs {
    /// Makes requests to a server on which the first `known` jobs exist.
    pub(crate) fn new(known: u64) -> Jobs {
        let weights = (1..=known.min(ZIPF_RANKS)).map(|rank| (rank as f64).powf(-ZIPF_EXPONENT));
        let mut shares: Vec<f64> = weights
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        let total = shares.last().copied().unwrap_or(1.0);
        for share in &mut shares {
            *share /= total;
        }
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

    /// Picks a job by the Zipf distribution. The popular jobs are spread over the ids, which matters to a b-tree.
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

/// Maps numbers to numbers one to one, as splitmix64 does.
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Returns the UUID of a job.
pub(crate) fn job_id(job: u64) -> String {
    let (high, low) = (mix(job), mix(job ^ (1 << 63)));
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
    format!(
        "{a:08x}-{b:04x}-4{c:03x}-8{:03x}-{:012x}",
        (low >> 48) & 0xfff,
        low & 0xffff_ffff_ffff
    )
}

/// Returns the idea of a job. The lengths differ: if all documents had the same size, either all or none of their pages
/// would overflow when documents grow.
pub(crate) fn idea(job_id: &str) -> &'static str {
    const LONGEST: &str = "an app that counts the birds in my garden and draws them in the colours that my daughter likes best";
    let length = job_id
        .bytes()
        .rev()
        .take(2)
        .fold(0, |sum, byte| 7 * sum + usize::from(byte));
    &LONGEST[..16 + length % 81]
}

fn get(job: u64, into: &mut Vec<u8>) {
    let id = job_id(job);
    let written = write!(
        into,
        "GET /api/job?id={id} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {KEY}\r\n\r\n"
    );
    written.expect("a vector can be written to");
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
    written.expect("a vector can be written to");
}

/// Writes a mutation of `testapp` that adds 1 to a counter.
pub(crate) fn add(counter: &str, into: &mut Vec<u8>) {
    let body = format!(
        r#"{{"path":"counters:add","args":{{"name":"{counter}","by":{{"$integer":"AQAAAAAAAAA="}}}}}}"#
    );
    let length = body.len();
    let written = write!(
        into,
        "POST /api/mutation HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    written.expect("a vector can be written to");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_job_has_its_own_uuid() {
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
    fn a_few_jobs_are_popular() {
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
            "unpopular jobs are requested too: {}",
            asked.len()
        );
    }

    #[test]
    fn new_jobs_do_not_exist_yet() {
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
