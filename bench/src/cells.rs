use crate::drive::{Pace, Pool};
use crate::fleet::Subject;
use crate::jobs::Load;
use crate::results::Disk;

/// Something that is asked of several subjects in turns.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) name: String,
    pub(crate) disk: Disk,
    /// The first is what the row is about; the others are there beside it.
    pub(crate) pools: Vec<Pool>,
    pub(crate) subjects: Vec<Subject>,
}

/// Cells that are compared with each other, and so interleaved.
pub(crate) struct Group {
    /// By which it is chosen on the command line.
    pub(crate) name: &'static str,
    pub(crate) cells: Vec<Cell>,
}

const READERS: &[Subject] = &[Subject::Bare, Subject::Axum, Subject::Clonk];
const WRITERS: &[Subject] = &[Subject::Axum, Subject::Clonk];
const LOOPS: &[Subject] = &[
    Subject::Bare,
    Subject::Axum,
    Subject::Clonk,
    Subject::Loop1,
    Subject::Loop64,
];
const CLONK: &[Subject] = &[Subject::Clonk];

/// At these many a second, whatever the server makes of it, the latency of GETs is measured beside writes.
pub(crate) const TAIL_RATE: f64 = 2_000.0;

/// Every group there is; a quick run leaves out what no target needs.
pub(crate) fn groups(quick: bool) -> Vec<Group> {
    let (as_is, slow) = (Disk::AsIs, Disk::Slow);
    let mut groups = vec![
        get(quick),
        post(quick, as_is),
        post(quick, slow),
        hot(as_is),
        mixed(),
        tail(),
    ];
    if !quick {
        groups.extend([known(as_is), known(slow), hot(slow)]);
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
        .map(|connections| cell("GET", Load::Get, *connections, Disk::AsIs, READERS));
    let open = rates
        .iter()
        .map(|rate| open("GET", Load::Get, *rate, READERS));
    Group {
        name: "get",
        cells: closed.chain(open).collect(),
    }
}

fn post(quick: bool, disk: Disk) -> Group {
    let connections: &[usize] = if quick { &[1, 64] } else { &[1, 16, 64, 256] };
    let rates: &[f64] = if quick {
        &[]
    } else {
        &[500.0, 2_000.0, 6_000.0]
    };
    // A server that does not write is not slowed down by a disk.
    let subjects = if disk == Disk::AsIs {
        LOOPS
    } else {
        &LOOPS[1..]
    };
    let without_loops: Vec<Subject> = subjects
        .iter()
        .copied()
        .filter(|subject| *subject < Subject::Loop1)
        .collect();
    let closed = connections.iter().map(|connections| {
        let subjects = if *connections == 64 {
            subjects
        } else {
            &without_loops
        };
        cell("POST new", Load::PostNew, *connections, disk, subjects)
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
        cells: closed.chain(open).collect(),
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
        cells: vec![cell("POST known", Load::PostKnown, 64, disk, WRITERS)],
    }
}

fn hot(disk: Disk) -> Group {
    let one = cell("POST one hot job", Load::PostHot, 64, disk, WRITERS);
    let own = cell("POST a job each", Load::PostOwn, 64, disk, WRITERS);
    Group {
        name: if disk == Disk::AsIs {
            "hot"
        } else {
            "hot-slow"
        },
        cells: vec![one, own],
    }
}

fn mixed() -> Group {
    let of = |name, load| cell(name, load, 64, Disk::AsIs, WRITERS);
    let cells = vec![
        of("80 % GET, 20 % POST, Zipf", Load::Mixed),
        of("GET Zipf", Load::GetZipf),
        of("POST Zipf", Load::PostZipf),
    ];
    Group {
        name: "mixed",
        cells,
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
    let of = |name: &str, pools: &[Pool]| Cell {
        name: name.to_owned(),
        disk: Disk::AsIs,
        pools: pools.to_vec(),
        subjects: WRITERS.to_vec(),
    };
    let cells = vec![
        of("GET steady, alone", &[steady]),
        of("GET steady, POST @64 beside", &[steady, writers]),
        of("GET @64, alone", &[closed]),
        of("GET @64, POST @64 beside", &[closed, writers]),
    ];
    Group {
        name: "tail",
        cells,
    }
}

/// The cells that a database of another size is measured by.
pub(crate) fn of_any_size() -> Vec<Cell> {
    let of = |name, load| cell(name, load, 64, Disk::AsIs, CLONK);
    vec![
        of("GET", Load::Get),
        of("GET Zipf", Load::GetZipf),
        of("POST new", Load::PostNew),
        of("POST known", Load::PostKnown),
    ]
}

/// A cell of live queries.
pub(crate) fn untouched() -> Cell {
    cell(
        "mutation",
        Load::AddToCounter,
        16,
        Disk::AsIs,
        &[Subject::Testapp],
    )
}

fn cell(name: &str, load: Load, connections: usize, disk: Disk, subjects: &[Subject]) -> Cell {
    let pools = vec![Pool {
        load,
        connections,
        pace: Pace::Closed,
    }];
    Cell {
        name: format!("{name} @{connections}"),
        disk,
        pools,
        subjects: subjects.to_vec(),
    }
}

/// A fixed rate over enough connections that none is missing.
fn open(name: &str, load: Load, rate: f64, subjects: &[Subject]) -> Cell {
    let pools = vec![Pool {
        load,
        connections: 64,
        pace: Pace::PerSecond(rate),
    }];
    Cell {
        name: format!("{name}, {rate}/s"),
        disk: Disk::AsIs,
        pools,
        subjects: subjects.to_vec(),
    }
}
