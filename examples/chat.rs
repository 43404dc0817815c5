//! A chat: one table, one mutation, one query.
//!
//! `cargo run --bin chat` serves it. The README shows a JavaScript client that uses it.

use std::process::ExitCode;

use lentil::{Args, Backend, Doc, Document, Functions, Id, MutationCtx, QueryCtx, Result, Schema};

// [chat]
#[derive(Document, Args, Clone)]
#[table("messages")]
#[index(by_room(room))]
struct Message {
    room: String,
    author: String,
    body: String,
}

async fn send(ctx: &mut MutationCtx, message: Message) -> Result<Id<Message>> {
    ctx.db.insert(message).await
}

async fn list(ctx: &mut QueryCtx, args: List) -> Result<Vec<Doc<Message>>> {
    ctx.db.query(Message::BY_ROOM.eq(args.room)).collect().await
}

fn functions() -> Functions {
    Functions::in_module("chat")
        .mutation("send", send)
        .query("list", list)
}
// [end]

/// The arguments of [`list`].
#[derive(Args)]
struct List {
    room: String,
}

fn schema() -> Schema {
    Schema::new().table::<Message>()
}

fn main() -> ExitCode {
    Backend::new(schema()).functions(functions()).main()
}

#[cfg(test)]
mod tests {
    use lentil_testing::TestBackend;

    use super::*;

    fn message(room: &str, body: &str) -> Message {
        Message {
            room: room.into(),
            author: "ada".into(),
            body: body.into(),
        }
    }

    #[tokio::test]
    async fn a_room_lists_its_messages_in_order() {
        let t = TestBackend::new(schema()).functions(functions());
        for (room, body) in [("general", "one"), ("other", "two"), ("general", "three")] {
            t.run_mutation(send, message(room, body)).await.unwrap();
        }
        let general = List {
            room: "general".into(),
        };
        let messages = t.run_query(list, general).await.unwrap();
        let bodies: Vec<&str> = messages.iter().map(|message| &*message.body).collect();
        assert_eq!(bodies, ["one", "three"]);
    }
}
