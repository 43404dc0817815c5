//! The default limit of the memory held for clients, and the return of freed memory to the
//! operating system.

use std::fs;
use std::time::Duration;

use lentil_runtime::memory::Memory;

/// The smallest size that a limit may have. A server with less could not serve any request.
const MIN_SIZE: usize = 1 << 20;
/// The minimum of the default limit.
const MIN_LIMIT: usize = 256 << 20;
/// The default limit is the available memory divided by this.
const AVAILABLE_DIVISOR: usize = 4;

/// The interval between two checks for freed memory.
const RETURN_INTERVAL: Duration = Duration::from_millis(500);
/// The amount of freed memory that is worth returning.
const RETURNED_BYTES: usize = 8 << 20;
/// The number of intervals over which memory is returned: mimalloc returns pages a second after
/// they were freed.
const RETURN_STEPS: u32 = 4;

/// Makes the allocator return freed memory of clients to the operating system. Runs until it is
/// dropped.
///
/// mimalloc keeps freed pages until one of its threads allocates or ends. A server that is idle
/// after a burst would keep the memory of the burst. A thread that allocates and ends makes
/// mimalloc return the pages.
pub(crate) async fn return_freed(memory: Memory) {
    let mut most = 0;
    let mut steps = 0;
    loop {
        tokio::time::sleep(RETURN_INTERVAL).await;
        let used = memory.stats().used;
        most = most.max(used);
        if most - used > RETURNED_BYTES {
            most = used;
            steps = RETURN_STEPS;
        }
        if steps > 0 {
            steps -= 1;
            let returned = tokio::task::spawn_blocking(|| {
                std::thread::Builder::new()
                    .spawn(|| std::hint::black_box(vec![0_u8; 64]))
                    .map(std::thread::JoinHandle::join)
            });
            // If no thread can be started, the next interval tries again.
            let _ = returned.await;
        }
    }
}

/// Returns a quarter of the memory that is available to the process, at least 256 MiB.
pub(crate) fn default_limit() -> usize {
    limit_of(available(|path| fs::read_to_string(path).ok()))
}

fn limit_of(available: Option<usize>) -> usize {
    match available {
        Some(bytes) => (bytes / AVAILABLE_DIVISOR).max(MIN_LIMIT),
        None => MIN_LIMIT,
    }
}

/// Returns the lowest limit of `ulimit -v`, the control groups and the machine. `read` reads a
/// file.
fn available(read: impl Fn(&str) -> Option<String>) -> Option<usize> {
    let number = |path: &str| read(path)?.trim().parse().ok();
    // In a container the process's own control group is mounted at the root.
    let of_own_group =
        own_group(&read).and_then(|group| number(&format!("/sys/fs/cgroup{group}/memory.max")));
    let of_machine = read("/proc/meminfo").and_then(|text| {
        ["MemAvailable:", "MemTotal:"].into_iter().find_map(|name| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kib << 10)
        })
    });
    let of_address_space = read("/proc/self/limits").and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Max address space"))?;
        line.split_whitespace().next()?.parse().ok()
    });
    [
        of_address_space,
        of_own_group,
        number("/sys/fs/cgroup/memory.max"),
        number("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        of_machine,
    ]
    .into_iter()
    .flatten()
    .min()
}

/// Returns the path of the process's control group, version 2.
fn own_group(read: impl Fn(&str) -> Option<String>) -> Option<String> {
    let groups = read("/proc/self/cgroup")?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(path.trim_end_matches('/').to_owned())
}

const INVALID_SIZE: &str = "write a number of bytes, such as 268435456, 256M or 2G";

/// Parses a number of bytes, such as `1048576`, `64M` or `2GiB`.
pub(crate) fn parse_size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        _ => return Err(INVALID_SIZE.to_owned()),
    };
    let number: usize = digits.parse().map_err(|_| INVALID_SIZE.to_owned())?;
    let bytes = number
        .checked_mul(1 << shift)
        .filter(|bytes| *bytes >= MIN_SIZE);
    bytes.ok_or_else(|| {
        "the size must be at least 1M, and must fit into the address space".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_of_control_groups_and_machine_counts() {
        let files = |own: &'static str, v1: &'static str, meminfo: &'static str| {
            move |path: &str| {
                let text = match path {
                    "/proc/self/cgroup" => "0::/app\n",
                    "/sys/fs/cgroup/app/memory.max" => own,
                    "/sys/fs/cgroup/memory/memory.limit_in_bytes" => v1,
                    "/proc/meminfo" => meminfo,
                    _ => return None,
                };
                Some(text.to_owned())
            }
        };
        let meminfo = "MemTotal:       4194304 kB\nMemAvailable:   2097152 kB\n";
        assert_eq!(
            available(files("max\n", "9223372036854771712\n", meminfo)),
            Some(2 << 30)
        );
        assert_eq!(
            available(files("1073741824\n", "x", meminfo)),
            Some(1 << 30)
        );
        assert_eq!(
            available(files("max\n", "536870912\n", meminfo)),
            Some(512 << 20)
        );
        assert_eq!(
            available(files("max", "", "MemTotal: 1024 kB\n")),
            Some(1 << 20)
        );
        let limits = "Max address space         2684354560           unlimited            bytes\n";
        let limited = |path: &str| (path == "/proc/self/limits").then(|| limits.to_owned());
        assert_eq!(available(limited), Some(2_684_354_560));
        assert_eq!(available(|_: &str| None), None);
        assert_eq!(limit_of(Some(8 << 30)), 2 << 30);
        assert_eq!(
            (limit_of(Some(1 << 20)), limit_of(None)),
            (MIN_LIMIT, MIN_LIMIT)
        );
    }

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        for (text, bytes) in [
            ("1048576", 1 << 20),
            ("64M", 64 << 20),
            ("2GiB", 2 << 30),
            ("1024k", 1 << 20),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "M",
            "1.5G",
            "-1",
            "1T",
            "99999999999999999999",
            "17179869184G",
            "0",
            "5K",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
