use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The two cores of a measurement: one for the server, one for the load generator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    generator: usize,
    server: usize,
}

impl Cores {
    /// Takes the first and the last core that this process may use, and pins this thread to the first.
    pub(crate) fn take() -> Cores {
        let allowed = sched_getaffinity(None).expect("Linux tells a process its cores");
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let generator = cores.next().expect("this process runs somewhere");
        let taken = Cores {
            generator,
            server: cores.next_back().unwrap_or(generator),
        };
        if taken.server == taken.generator {
            println!(
                "ONLY ONE CORE: server and load generator share it, so the figures below mean little.\n"
            );
        }
        pin(taken.generator);
        taken
    }

    /// Does `work`. The processes that it starts are pinned to the server's core.
    pub(crate) fn on_servers<T>(self, work: impl FnOnce() -> T) -> T {
        pin(self.server);
        let done = work();
        pin(self.generator);
        done
    }
}

/// Pins this thread, and the processes and threads that it starts, to one core.
fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).expect("a core that was allowed stays so");
}
