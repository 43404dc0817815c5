//! Crons: when they run, and which are invalid.

use std::time::Duration;

use lentil::{Crons, Functions, MutationCtx, Result};
use lentil_system::System;

use crate::fixture::*;
use crate::schedule::{MINUTE, scheduling, stray};

#[tokio::test]
async fn cron_runs_at_its_interval_and_skips_missed_executions() {
    async fn tick(ctx: &mut MutationCtx, (): ()) -> Result<()> {
        let rank = ctx.now()?;
        add(
            ctx,
            Add {
                owner: "cron".into(),
                rank,
            },
        )
        .await
    }
    let crons = || Crons::new().interval("tick", 10 * MINUTE, tick, ());
    let t = scheduling()
        .functions(Functions::in_module("cron").internal_mutation("tick", tick))
        .crons(crons());
    assert_eq!(t.run_due().await.unwrap(), 1, "a new cron runs at once");
    t.advance(9 * MINUTE);
    assert_eq!(t.run_due().await.unwrap(), 0);
    t.advance(MINUTE);
    assert_eq!(t.run_due().await.unwrap(), 1);
    t.advance(35 * MINUTE);
    assert_eq!(t.run_due().await.unwrap(), 1, "missed executions run once");
    t.advance(5 * MINUTE);
    assert_eq!(
        t.run_due().await.unwrap(),
        1,
        "the next one is at its original time"
    );
}

#[tokio::test]
async fn crons_are_planned_from_the_start_of_the_test() {
    let args = |rank| Add {
        owner: "cron".into(),
        rank,
    };
    let t = scheduling().crons(
        Crons::new()
            .cron("daily", "0 9 * * *", "UTC", add, args(9.0))
            .interval("often", 20 * MINUTE, add, args(20.0)),
    );
    // The test begins at midnight, before the backend is first used.
    t.advance(8 * 60 * MINUTE + 59 * MINUTE);
    assert_eq!(t.run_due().await.unwrap(), 1);
    t.advance(MINUTE);
    assert_eq!(t.run_due().await.unwrap(), 2);
    assert_eq!(
        ranks(&t.documents::<Task>().await.unwrap()),
        [20.0, 9.0, 20.0]
    );
}

#[tokio::test]
async fn invalid_crons_are_rejected() {
    let open = |crons: Crons| {
        let application = lentil::Application::new(schema()).functions(functions());
        System::new(&application, crons)
            .err()
            .map(|error| error.to_string())
    };
    let args = || Add {
        owner: "ada".into(),
        rank: 1.0,
    };
    assert_eq!(open(Crons::new().interval("a", MINUTE, add, args())), None);
    for (crons, expected) in [
        (
            Crons::new().interval("a", MINUTE, stray, ()),
            "is not registered",
        ),
        (
            Crons::new().interval("a", Duration::ZERO, add, args()),
            "at least 1s",
        ),
        (
            Crons::new().cron("a", "* * *", "UTC", add, args()),
            "five fields",
        ),
        (
            Crons::new().cron("a", "0 9 * * *", "Mars", add, args()),
            "time zone",
        ),
        (
            Crons::new().cron("a", "0 0 30 2 *", "UTC", add, args()),
            "`0 0 30 2 *` never occurs",
        ),
        (
            Crons::new()
                .interval("a", MINUTE, add, args())
                .interval("a", MINUTE, add, args()),
            "two crons have this name",
        ),
    ] {
        let said = open(crons).unwrap();
        assert!(
            said.contains(expected) && said.contains("the cron \"a\""),
            "{said}"
        );
    }
}
