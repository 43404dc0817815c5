use crate::contenders::running::Contender;
use crate::load::drive::{Pace, Pool};
use crate::load::jobs::Load;
use crate::report::results::Disk;

/// A load that several contenders get in turn.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) disk: Disk,
    /// The row shows the first pool. The others run beside it.
    pub(crate) pools: Vec<Pool>,
    pub(crate) contenders: Vec<Contender>,
}

/// Cases that are compared with each other and therefore interleaved.
pub(crate) struct Group {
    /// The name on the command line.
    pub(crate) name: &'static str,
    pub(crate) cases: Vec<Case>,
}

const READERS: &[Contender] = &[Contender::Bare, Contender::Axum, Contender::Clonk];
const WRITERS: &[Contender] = &[Contender::Axum, Contender::Clonk];
const LOOPS: &[Contender] = &[
    Contender::Bare,
    Contender::Axum,
    Contender::Clonk,
    Contender::Loop1,
    Contender::Loop64,
];
const CLONK: &[Contender] = &[Contender::Clonk];

/// The fixed rate at which the latency of GETs beside writes is measured.
pub(crate) const TAIL_RATE: f64 = 2_000.0;

/// Returns all groups. A quick run leaves out cases that no target needs.
pub(crate) fn groups(quick: bool) -> Vec<Group> {
    let mut groups = vec![
        get(quick),
        post(quick, Disk::AsIs),
        post(quick, Disk::Slow),
        hot(Disk::AsIs),
        mixed(),
        tail(),
    ];
    if !quick {
        groups.extend([known(Disk::AsIs), known(Disk::Slow), hot(Disk::Slow)]);
    }
    groups
}

fn get(quick: bool) -> Group {
    let connections: &[usize] = if quick { &[1, 64] } else { &[1, 16, 64, 256] };
    let rates: &[f64] = if quick {
        &[]
    } else {
        &[2_000.0, 10_000.0, 30_000.0]
    };
    let closed = connections
        .iter()
        .map(|connections| case("GET", Load::Get, *connections, Disk::AsIs, READERS));
    let open = rates
        .iter()
        .map(|rate| open("GET", Load::Get, *rate, READERS));
    Group {
        name: "get",
        cases: closed.chain(open).collect(),
    }
}

fn post(quick: bool, disk: Disk) -> Group {
    let connections: &[usize] = if quick { &[1, 64] } else { &[1, 16, 64, 256] };
    let rates: &[f64] = if quick {
        &[]
    } else {
        &[500.0, 2_000.0, 6_000.0]
    };
    // Bare hyper does not write, so a slow disk does not matter.
    let contenders = if disk == Disk::AsIs {
        LOOPS
    } else {
        &LOOPS[1..]
    };
    let without_loops: Vec<Contender> = contenders
        .iter()
        .copied()
        .filter(|contender| *contender < Contender::Loop1)
        .collect();
    let closed = connections.iter().map(|connections| {
        let contenders = if *connections == 64 {
            contenders
        } else {
            &without_loops
        };
        case("POST new", Load::PostNew, *connections, disk, contenders)
    });
    let open = rates
        .iter()
        .filter(|_| disk == Disk::AsIs)
        .map(|rate| open("POST new", Load::PostNew, *rate, WRITERS));
    Group {
        name: if disk == Disk::AsIs {
            "post"
        } else {
            "post-slow"
        },
        cases: closed.chain(open).collect(),
    }
}

fn known(disk: Disk) -> Group {
    let name = if disk == Disk::AsIs {
        "known"
    } else {
        "known-slow"
    };
    Group {
        name,
        cases: vec![case("POST known", Load::PostKnown, 64, disk, WRITERS)],
    }
}

fn hot(disk: Disk) -> Group {
    let one = case("POST one hot job", Load::PostHot, 64, disk, WRITERS);
    let own = case("POST a job each", Load::PostOwn, 64, disk, WRITERS);
    Group {
        name: if disk == Disk::AsIs {
            "hot"
        } else {
            "hot-slow"
        },
        cases: vec![one, own],
    }
}

fn mixed() -> Group {
    let of = |name, load| case(name, load, 64, Disk::AsIs, WRITERS);
    let cases = vec![
        of("80 % GET, 20 % POST, Zipf", Load::Mixed),
        of("GET Zipf", Load::GetZipf),
        of("POST Zipf", Load::PostZipf),
    ];
    Group {
        name: "mixed",
        cases,
    }
}

fn tail() -> Group {
    let pool = |load, connections, pace| Pool {
        load,
        connections,
        pace,
    };
    let steady = pool(Load::Get, 16, Pace::PerSecond(TAIL_RATE));
    let closed = pool(Load::Get, 64, Pace::Closed);
    let writers = pool(Load::PostKnown, 64, Pace::Closed);
    let of = |name: &str, pools: &[Pool]| Case {
        name: name.to_owned(),
        disk: Disk::AsIs,
        pools: pools.to_vec(),
        contenders: WRITERS.to_vec(),
    };
    let cases = vec![
        of("GET steady, alone", &[steady]),
        of("GET steady, POST @64 beside", &[steady, writers]),
        of("GET @64, alone", &[closed]),
        of("GET @64, POST @64 beside", &[closed, writers]),
    ];
    Group {
        name: "tail",
        cases,
    }
}

/// Returns the cases for a large database.
pub(crate) fn of_any_size() -> Vec<Case> {
    let of = |name, load| case(name, load, 64, Disk::AsIs, CLONK);
    vec![
        of("GET", Load::Get),
        of("GET Zipf", Load::GetZipf),
        of("POST new", Load::PostNew),
        of("POST known", Load::PostKnown),
    ]
}

/// Returns the case of mutations that invalidate no live query.
pub(crate) fn untouched() -> Case {
    case(
        "mutation",
        Load::AddToCounter,
        16,
        Disk::AsIs,
        &[Contender::Testapp],
    )
}

fn case(name: &str, load: Load, connections: usize, disk: Disk, contenders: &[Contender]) -> Case {
    let pools = vec![Pool {
        load,
        connections,
        pace: Pace::Closed,
    }];
    Case {
        name: format!("{name} @{connections}"),
        disk,
        pools,
        contenders: contenders.to_vec(),
    }
}

/// Makes a case with a fixed rate over enough connections.
fn open(name: &str, load: Load, rate: f64, contenders: &[Contender]) -> Case {
    let pools = vec![Pool {
        load,
        connections: 64,
        pace: Pace::PerSecond(rate),
    }];
    Case {
        name: format!("{name}, {rate}/s"),
        disk: Disk::AsIs,
        pools,
        contenders: contenders.to_vec(),
    }
}
