//! Crons and scheduled functions: a reminder is sent at its time, and a cron deletes old reminders every night.
//!
//! `cargo run --bin cron` serves it.

use std::process::ExitCode;
use std::time::Duration;

use lentil::{Args, Backend, Crons, Document, Functions, Id, MutationCtx, Result, Schema};

#[derive(Document, Clone)]
#[table("reminders")]
struct Reminder {
    text: String,
    is_sent: bool,
}

#[derive(Args, Clone)]
struct Remind {
    text: String,
    seconds: f64,
}

/// Creates a reminder. A failure of this mutation also undoes the scheduling.
async fn remind(ctx: &mut MutationCtx, args: Remind) -> Result<Id<Reminder>> {
    let reminder = Reminder {
        text: args.text,
        is_sent: false,
    };
    let reminder = ctx.db.insert(reminder).await?;
    let delay = Duration::from_secs_f64(args.seconds.max(0.0));
    ctx.scheduler
        .run_after(delay, send, Send { reminder })
        .await?;
    Ok(reminder)
}

#[derive(Args)]
struct Send {
    reminder: Id<Reminder>,
}

/// Marks a reminder as sent. It runs exactly once, even if the server is killed.
async fn send(ctx: &mut MutationCtx, args: Send) -> Result<()> {
    ctx.db
        .patch(args.reminder, Reminder::patch().is_sent(true))
        .await
}

/// The age at which a reminder is deleted.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The number of reminders that one execution deletes.
const STEP_SIZE: usize = 100;

/// Deletes old reminders in steps, so that no transaction is large.
async fn delete_old(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    let before = ctx.now()? - RETENTION.as_secs_f64() * 1e3;
    let old = ctx.db.query(Reminder::BY_CREATION_TIME.lt(before));
    let old = old.take(STEP_SIZE).await?;
    for reminder in &old {
        ctx.db.delete(reminder.id).await?;
    }
    if old.len() == STEP_SIZE {
        ctx.scheduler
            .run_after(Duration::ZERO, delete_old, ())
            .await?;
    }
    Ok(())
}

fn functions() -> Functions {
    Functions::in_module("reminders")
        .mutation("remind", remind)
        .internal_mutation("send", send)
        .internal_mutation("deleteOld", delete_old)
}

fn crons() -> Crons {
    Crons::new().cron(
        "delete old reminders",
        "0 3 * * *",
        "Europe/Berlin",
        delete_old,
        (),
    )
}

fn schema() -> Schema {
    Schema::new().table::<Reminder>()
}

fn main() -> ExitCode {
    Backend::new(schema())
        .functions(functions())
        .crons(crons())
        .main()
}

#[cfg(test)]
mod tests {
    use lentil_testing::TestBackend;

    use super::*;

    fn backend() -> TestBackend {
        TestBackend::new(schema())
            .functions(functions())
            .crons(crons())
    }

    async fn remind_in(t: &TestBackend, seconds: f64) {
        let args = Remind {
            text: "tea".into(),
            seconds,
        };
        t.run_mutation(remind, args).await.unwrap();
    }

    #[tokio::test]
    async fn a_reminder_is_sent_at_its_time() {
        let t = backend();
        remind_in(&t, 60.0).await;
        t.advance(Duration::from_secs(59));
        assert_eq!(t.run_due().await.unwrap(), 0);
        t.advance(Duration::from_secs(1));
        assert_eq!(t.run_due().await.unwrap(), 1);
        assert!(t.documents::<Reminder>().await.unwrap()[0].is_sent);
    }

    #[tokio::test]
    async fn old_reminders_are_deleted_at_night() {
        let t = backend();
        for _ in 0..STEP_SIZE + 1 {
            remind_in(&t, 0.0).await;
        }
        t.run_due().await.unwrap();
        t.advance(RETENTION + Duration::from_secs(24 * 60 * 60));
        t.run_due().await.unwrap();
        assert!(t.documents::<Reminder>().await.unwrap().is_empty());
    }
}
