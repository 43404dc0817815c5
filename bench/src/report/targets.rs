//! The performance targets that compare rows, each as a ratio within each round.
//!
//! Two of them compare with a computed limit. Bare hyper serves P requests a second, and the write loop with 64 upserts
//! in a transaction makes L upserts a second. One core that does both makes at most 1/(1/P + 1/L). A mix of 80 % reads
//! and 20 % writes has at most the rate 1/(0.8/GET + 0.2/POST).

use crate::contenders::running::Contender::{self, Axum, Bare, Clonk, Loop64};
use crate::report::results::{Disk, Figure, Round, Row};

/// Returns every target whose rows were measured.
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

/// The case, disk and contender of a row.
type RowKey<'p> = (&'p str, Disk, Contender);
type Pick = fn(&Round) -> f64;

const RATE: Pick = |round| round.rate;
const CPU: Pick = |round| round.cpu_seconds;
const P99: Pick = |round| round.p99_ms;

impl Rows<'_> {
    fn get(&self) -> Vec<Figure> {
        let at = |contender| ("GET @64", Disk::AsIs, contender);
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
        let at = |case, contender| (case, disk, contender);
        let to_axum = |case: &str, pick, what: &str| {
            self.ratio(
                &format!("{case}{title}: {what} / axum"),
                pick,
                (case, disk, Clonk),
                (case, disk, Axum),
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
        let at = |disk, case| (case, disk, Clonk);
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
        let cases = [
            "80 % GET, 20 % POST, Zipf @64",
            "GET Zipf @64",
            "POST Zipf @64",
        ];
        let name = "mixed @64: rate / 1/(0.8/GET + 0.2/POST)";
        let figure = self.combine(
            name,
            cases.map(|case| (case, Disk::AsIs, Clonk)),
            |[mixed, get, post]| mixed.rate * (0.8 / get.rate + 0.2 / post.rate),
        );
        figure
            .map(|figure| figure.at_least(0.7))
            .into_iter()
            .collect()
    }

    fn tail(&self) -> Vec<Figure> {
        let ratio = |what: &str| {
            let alone = format!("GET {what}, alone");
            let beside = format!("GET {what}, POST @64 beside");
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

    fn ratio(&self, name: &str, pick: Pick, of: RowKey<'_>, to: RowKey<'_>) -> Option<Figure> {
        self.combine(name, [of, to], |[of, to]| pick(of) / pick(to))
    }

    /// Computes a figure from several rows, round by round. It is void if one of them has errors.
    fn combine<const N: usize>(
        &self,
        name: &str,
        places: [RowKey<'_>; N],
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
        let void = void.map(|row| {
            format!(
                "{} errors of {} at {}",
                row.errors(),
                row.contender,
                row.case
            )
        });
        Some(Figure {
            void,
            ..Figure::new(name, "", values)
        })
    }

    fn row(&self, (case, disk, contender): RowKey<'_>) -> Option<&Row> {
        self.0
            .iter()
            .find(|row| row.case == case && row.disk == disk && row.contender == contender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, contender: Contender, rates: &[f64], errors: u64) -> Row {
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
            case: case.to_owned(),
            disk: Disk::AsIs,
            contender,
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
    fn ratios_are_computed_within_a_round() {
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
            "a target without measured rows is left out"
        );
    }

    #[test]
    fn the_limit_of_writes_is_computed() {
        let at = |contender, rate| row("POST new @64", contender, &[rate], 0);
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
