//! The targets that compare rows, each as a ratio within each round.
//!
//! Two are limits that are derived. A write can be no faster than reading its request and doing its share of the
//! writing: with P requests a second read and answered by bare hyper, and L upserts a second by the loop of 64 a
//! transaction, one core does at most 1/(1/P + 1/L). And reads and writes mixed 80 to 20 go at
//! 1/(0.8/GET + 0.2/POST).

use crate::fleet::Subject::{self, Axum, Bare, Clonk, Loop64};
use crate::results::{Disk, Figure, Round, Row};

/// Every target whose rows were measured.
pub(crate) fn targets(rows: &[Row]) -> Vec<Figure> {
    let of = Rows(rows);
    [
        of.get(),
        of.post(Disk::AsIs),
        of.post(Disk::Slow),
        of.hot(),
        of.mixed(),
        of.tail(),
    ]
    .concat()
}

struct Rows<'r>(&'r [Row]);

/// A row, by its cell, its disk and its subject.
type Place<'p> = (&'p str, Disk, Subject);
type Pick = fn(&Round) -> f64;

const RATE: Pick = |round| round.rate;
const CPU: Pick = |round| round.cpu_seconds;
const P99: Pick = |round| round.p99_ms;

impl Rows<'_> {
    fn get(&self) -> Vec<Figure> {
        let at = |subject| ("GET @64", Disk::AsIs, subject);
        let ratio = |name, pick, other| self.ratio(name, pick, at(Clonk), at(other));
        let figures = [
            ratio("GET @64: rate / bare hyper", RATE, Bare).map(|figure| figure.at_least(0.85)),
            ratio("GET @64: rate / axum", RATE, Axum).map(|figure| figure.at_least(1.0)),
            ratio("GET @64: p99 / bare hyper", P99, Bare).map(|figure| figure.at_most(1.5)),
            ratio("GET @64: server CPU / bare hyper", CPU, Bare).map(|figure| figure.at_most(1.3)),
        ];
        figures.into_iter().flatten().collect()
    }

    fn post(&self, disk: Disk) -> Vec<Figure> {
        let title = if disk == Disk::AsIs { "" } else { " at 2 ms" };
        let at = |cell, subject| (cell, disk, subject);
        let to_axum = |cell: &str, pick, what: &str| {
            self.ratio(
                &format!("{cell}{title}: {what} / axum"),
                pick,
                (cell, disk, Clonk),
                (cell, disk, Axum),
            )
        };
        let wanted = if disk == Disk::AsIs { 2.0 } else { 20.0 };
        let mut figures = vec![
            to_axum("POST new @64", RATE, "rate").map(|figure| figure.at_least(wanted)),
            to_axum("POST new @1", RATE, "rate").map(|figure| figure.at_least(0.8)),
        ];
        if disk == Disk::AsIs {
            let limit = [
                at("POST new @64", Clonk),
                at("POST new @64", Bare),
                at("POST new @64", Loop64),
            ];
            figures
                .push(to_axum("POST new @64", CPU, "server CPU").map(|figure| figure.at_most(1.0)));
            let name = "POST new @64: rate / 1/(1/P + 1/L)";
            let figure = self.combine(name, limit, |[clonk, p, l]| {
                clonk.rate * (1.0 / p.rate + 1.0 / l.rate)
            });
            figures.push(figure.map(|figure| figure.at_least(0.6)));
        }
        figures.into_iter().flatten().collect()
    }

    fn hot(&self) -> Vec<Figure> {
        let at = |disk, cell| (cell, disk, Clonk);
        let ratio = |name, disk| {
            self.ratio(
                name,
                RATE,
                at(disk, "POST one hot job @64"),
                at(disk, "POST a job each @64"),
            )
        };
        let figures = [
            ratio("one hot job @64: rate / 64 different", Disk::AsIs),
            ratio("one hot job @64 at 2 ms: rate / 64 different", Disk::Slow),
        ];
        figures
            .into_iter()
            .flatten()
            .map(|figure| figure.at_least(0.9))
            .collect()
    }

    fn mixed(&self) -> Vec<Figure> {
        let cells = [
            "80 % GET, 20 % POST, Zipf @64",
            "GET Zipf @64",
            "POST Zipf @64",
        ];
        let name = "mixed @64: rate / 1/(0.8/GET + 0.2/POST)";
        let figure = self.combine(
            name,
            cells.map(|cell| (cell, Disk::AsIs, Clonk)),
            |[mixed, get, post]| mixed.rate * (0.8 / get.rate + 0.2 / post.rate),
        );
        figure
            .map(|figure| figure.at_least(0.7))
            .into_iter()
            .collect()
    }

    fn tail(&self) -> Vec<Figure> {
        let ratio = |what: &str| {
            let (alone, beside) = (
                format!("GET {what}, alone"),
                format!("GET {what}, POST @64 beside"),
            );
            let name = format!("GET {what}: p99 beside POST @64 / alone");
            self.ratio(
                &name,
                P99,
                (&beside, Disk::AsIs, Clonk),
                (&alone, Disk::AsIs, Clonk),
            )
        };
        ["steady", "@64"]
            .into_iter()
            .filter_map(ratio)
            .map(|figure| figure.at_most(3.0))
            .collect()
    }

    fn ratio(&self, name: &str, pick: Pick, of: Place<'_>, to: Place<'_>) -> Option<Figure> {
        self.combine(name, [of, to], |[of, to]| pick(of) / pick(to))
    }

    /// A figure of several rows, round by round; void where one of them has errors.
    fn combine<const N: usize>(
        &self,
        name: &str,
        places: [Place<'_>; N],
        figure: impl Fn([&Round; N]) -> f64,
    ) -> Option<Figure> {
        let rows: Vec<&Row> = places
            .iter()
            .map(|place| self.row(*place))
            .collect::<Option<_>>()?;
        let rounds = rows.iter().map(|row| row.rounds.len()).min().unwrap_or(0);
        let values = (0..rounds)
            .map(|round| figure(std::array::from_fn(|at| &rows[at].rounds[round])))
            .collect();
        let void = rows.iter().find(|row| row.errors() > 0);
        let void =
            void.map(|row| format!("{} errors of {} at {}", row.errors(), row.subject, row.cell));
        Some(Figure {
            void,
            ..Figure::new(name, "", values)
        })
    }

    fn row(&self, (cell, disk, subject): Place<'_>) -> Option<&Row> {
        self.0
            .iter()
            .find(|row| row.cell == cell && row.disk == disk && row.subject == subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cell: &str, subject: Subject, rates: &[f64], errors: u64) -> Row {
        let round = |rate: &f64| Round {
            rate: *rate,
            errors,
            p50_ms: 1.0,
            p99_ms: 1.0,
            p999_ms: 1.0,
            cpu_seconds: 1.0,
            server_busy: 1.0,
            generator_busy: 1.0,
        };
        let rounds = rates.iter().map(round).collect();
        Row {
            cell: cell.to_owned(),
            disk: Disk::AsIs,
            subject,
            rounds,
            durability: None,
        }
    }

    fn values(rows: &[Row], name: &str) -> Option<Vec<f64>> {
        targets(rows)
            .into_iter()
            .find(|figure| figure.name == name)
            .map(|figure| figure.values)
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let rows = [
            row("GET @64", Clonk, &[90.0, 50.0], 0),
            row("GET @64", Bare, &[100.0, 100.0], 0),
        ];
        assert_eq!(
            values(&rows, "GET @64: rate / bare hyper").unwrap(),
            [0.9, 0.5]
        );
        assert_eq!(
            values(&rows, "GET @64: rate / axum"),
            None,
            "what was not measured is no target"
        );
    }

    #[test]
    fn the_limit_of_writes_is_derived() {
        let at = |subject, rate| row("POST new @64", subject, &[rate], 0);
        let rows = [at(Clonk, 30.0), at(Bare, 100.0), at(Loop64, 100.0)];
        assert_eq!(
            values(&rows, "POST new @64: rate / 1/(1/P + 1/L)").unwrap(),
            [0.6]
        );
    }

    #[test]
    fn any_error_voids_a_target() {
        let rows = [
            row("GET @64", Clonk, &[90.0], 0),
            row("GET @64", Bare, &[100.0], 1),
        ];
        assert!(
            targets(&rows)
                .iter()
                .all(|figure| figure.verdict() == "void")
        );
    }
}
