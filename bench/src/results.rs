use serde::{Deserialize, Serialize};

use crate::fleet::Subject;
use crate::machine::Machine;

/// All that a run has measured: what the JSON file holds and the tables show.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) rows: Vec<Row>,
    pub(crate) figures: Vec<Figure>,
}

/// How it was measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    /// How long each round of each cell takes.
    pub(crate) seconds: f64,
    pub(crate) quick: bool,
}

/// The disk that a server writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Disk {
    AsIs,
    /// Every fsync takes 2 ms longer.
    Slow,
}

/// A cell on a subject: a row of the table.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) cell: String,
    pub(crate) disk: Disk,
    pub(crate) subject: Subject,
    pub(crate) rounds: Vec<Round>,
    /// What was found out about durability, of rows that write.
    pub(crate) durability: Option<Durability>,
}

/// What one round came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Operations a second.
    pub(crate) rate: f64,
    pub(crate) errors: u64,
    /// Milliseconds; none of a loop without requests.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    /// Of the server, for 1,000 operations.
    pub(crate) cpu_seconds: f64,
    /// The share of its core that the server used; at less than 1 something else is the limit.
    pub(crate) server_busy: f64,
    /// The share of its core that the generator used; at a fixed rate it waits by looking, and uses all of it.
    pub(crate) generator_busy: f64,
}

/// How often the disk was told to keep what was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Durability {
    pub(crate) fsyncs: u64,
    pub(crate) writes: u64,
    /// How many writes one fsync can be for: those that wait at the same time.
    pub(crate) at_once: u64,
}

impl Durability {
    pub(crate) fn fsyncs_per_thousand(self) -> f64 {
        self.fsyncs as f64 * 1_000.0 / self.writes.max(1) as f64
    }

    /// Whether there were enough fsyncs for each write to have waited for one.
    pub(crate) fn is_durable(self) -> bool {
        self.fsyncs * self.at_once >= self.writes
    }
}

/// A number that is no rate, or one that is wanted: a target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: String,
    /// One for each round.
    pub(crate) values: Vec<f64>,
    pub(crate) wanted: Option<Wanted>,
    /// Why it does not count.
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

    /// What became of the target.
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

    /// The median over the rounds.
    pub(crate) fn median(&self, pick: impl Fn(&Round) -> f64) -> f64 {
        median(&self.rounds.iter().map(pick).collect::<Vec<_>>())
    }

    /// The least and the greatest of the rounds.
    pub(crate) fn spread(&self, pick: impl Fn(&Round) -> f64) -> (f64, f64) {
        spread(&self.rounds.iter().map(pick).collect::<Vec<_>>())
    }
}

/// The middle one; of an even number, the mean of both.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (
        sorted.get(sorted.len().saturating_sub(1) / 2),
        sorted.get(sorted.len() / 2),
    ) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

/// The least and the greatest.
pub(crate) fn spread(values: &[f64]) -> (f64, f64) {
    let of = |fold: fn(f64, f64) -> f64| values.iter().copied().reduce(fold).unwrap_or(f64::NAN);
    (of(f64::min), of(f64::max))
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
                at_once: 64
            }
            .is_durable()
        );
        assert!(
            !Durability {
                fsyncs: 10,
                writes: 641,
                at_once: 64
            }
            .is_durable()
        );
    }
}
