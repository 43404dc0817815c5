use serde::{Deserialize, Serialize};

use crate::contenders::running::Contender;
use crate::report::machine::Machine;
use crate::report::statistics::{median, spread};

/// The results of a run, saved as JSON and shown as tables.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) rows: Vec<Row>,
    pub(crate) figures: Vec<Figure>,
}

/// The settings of a run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    /// The duration of a round of a case.
    pub(crate) seconds: f64,
    pub(crate) quick: bool,
}

/// The disk of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Disk {
    AsIs,
    /// Every fsync takes 2 ms longer.
    Slow,
}

/// A case on a contender, which is a row of the table.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) disk: Disk,
    pub(crate) contender: Contender,
    pub(crate) rounds: Vec<Round>,
    /// The counted fsyncs, for rows that write.
    pub(crate) durability: Option<Durability>,
}

/// The result of one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Operations a second.
    pub(crate) rate: f64,
    pub(crate) errors: u64,
    /// In milliseconds. Meaningless for the write loops, which have no requests.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    /// The CPU time of the server for 1,000 operations.
    pub(crate) cpu_seconds: f64,
    /// The share of its core that the server used. If it is less than 1, something else is the limit.
    pub(crate) server_busy: f64,
    /// The share of its core that the load generator used. At a fixed rate it polls and uses all of it.
    pub(crate) generator_busy: f64,
}

/// The number of fsyncs and of acknowledged writes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Durability {
    pub(crate) fsyncs: u64,
    pub(crate) writes: u64,
    /// The most writes that one fsync can cover: those in flight at the same time.
    pub(crate) in_flight: u64,
}

impl Durability {
    pub(crate) fn fsyncs_per_thousand(self) -> f64 {
        self.fsyncs as f64 * 1_000.0 / self.writes.max(1) as f64
    }

    /// Returns whether there were enough fsyncs for each write to have waited for one.
    pub(crate) fn is_durable(self) -> bool {
        self.fsyncs * self.in_flight >= self.writes
    }
}

/// A measured number, perhaps with a target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: String,
    /// One value for each round.
    pub(crate) values: Vec<f64>,
    pub(crate) wanted: Option<Wanted>,
    /// The reason why the figure does not count.
    pub(crate) void: Option<String>,
}

/// A target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

impl Wanted {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Wanted::AtLeast(least) => value >= least,
            Wanted::AtMost(most) => value <= most,
        }
    }
}

impl Figure {
    pub(crate) fn new(name: &str, unit: &str, values: Vec<f64>) -> Figure {
        Figure {
            name: name.to_owned(),
            unit: unit.to_owned(),
            values,
            wanted: None,
            void: None,
        }
    }

    #[must_use]
    pub(crate) fn at_least(self, least: f64) -> Figure {
        Figure {
            wanted: Some(Wanted::AtLeast(least)),
            ..self
        }
    }

    #[must_use]
    pub(crate) fn at_most(self, most: f64) -> Figure {
        Figure {
            wanted: Some(Wanted::AtMost(most)),
            ..self
        }
    }

    /// Returns whether the target was met.
    pub(crate) fn verdict(&self) -> &str {
        match (&self.void, self.wanted) {
            (Some(_), _) => "void",
            (None, Some(wanted)) if wanted.is_met_by(median(&self.values)) => "met",
            (None, Some(_)) => "**missed**",
            (None, None) => "",
        }
    }
}

impl Row {
    pub(crate) fn errors(&self) -> u64 {
        self.rounds.iter().map(|round| round.errors).sum()
    }

    /// Returns the median over the rounds.
    pub(crate) fn median(&self, pick: impl Fn(&Round) -> f64) -> f64 {
        median(&self.rounds.iter().map(pick).collect::<Vec<_>>())
    }

    /// Returns the least and the greatest value of the rounds.
    pub(crate) fn spread(&self, pick: impl Fn(&Round) -> f64) -> (f64, f64) {
        spread(&self.rounds.iter().map(pick).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_by_the_median() {
        let figure = |values: &[f64]| Figure::new("x", "", values.to_vec());
        assert_eq!(figure(&[0.1, 0.9, 0.9]).at_least(0.9).verdict(), "met");
        assert_eq!(
            figure(&[0.1, 0.8, 5.0]).at_least(0.9).verdict(),
            "**missed**"
        );
        assert_eq!(figure(&[1.0, 2.0]).at_most(1.5).verdict(), "met");
        assert_eq!(figure(&[]).at_least(0.9).verdict(), "**missed**");
    }

    #[test]
    fn too_few_fsyncs_prove_that_writes_were_not_durable() {
        assert!(
            Durability {
                fsyncs: 10,
                writes: 640,
                in_flight: 64
            }
            .is_durable()
        );
        assert!(
            !Durability {
                fsyncs: 10,
                writes: 641,
                in_flight: 64
            }
            .is_durable()
        );
    }
}
